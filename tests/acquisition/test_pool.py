import dataclasses

import numpy as np
import pytest
import torch

from acquisition.errors import PoolError
from acquisition.pool import Labeled, Pool, check_pair

IDS = np.array([4, 7, 2])
PROBA = np.array([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]])


def test_a_pool_says_which_signals_it_has():
    pool = Pool(IDS, proba=PROBA, features=np.ones((3, 5), np.float16), cost=np.ones(3))
    assert pool.signals == {"proba", "features", "cost"}
    assert (len(pool), pool.n_classes, pool.task) == (3, 2, "single")
    assert Pool(IDS).signals == frozenset()
    assert Pool(IDS).n_classes is None


def test_ids_become_int64_numpy_whatever_they_were():
    for ids in (np.array([3, 1], np.int32), torch.tensor([3, 1]), np.array([3, 1], np.uint64)):
        assert Pool(ids).ids.dtype == np.int64
        assert Pool(ids).ids.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ids": np.array([1, 1, 2])}, "distinct"),
        ({"ids": np.array([1.0, 2.0, 3.0])}, "integers"),
        ({"ids": IDS[None]}, "one dimension"),
        ({"proba": PROBA[:2]}, "shape"),
        ({"proba": PROBA[:, 0]}, "shape"),
        ({"proba": PROBA[:, :0]}, "shape"),
        ({"proba": PROBA.tolist()}, "array"),
        ({"proba": PROBA.astype(np.float16)}, "float32 or float64"),
        ({"proba": PROBA.astype(np.int64)}, "float32 or float64"),
        ({"proba": PROBA * 0.9}, "multi-label"),
        ({"proba": PROBA * 1.1}, "rows above 1"),
        ({"proba": np.where(PROBA == 0.8, np.nan, PROBA)}, "finite"),
        ({"proba": np.where(PROBA == 0.8, np.inf, PROBA)}, "finite"),
        ({"proba": PROBA + [[0.3, -0.3]]}, "outside"),
        ({"proba": PROBA + [[0.1, 0.0]], "multi_label": True}, "outside"),
        ({"draws": PROBA}, "shape"),
        ({"draws": np.stack([PROBA, 2 * PROBA], axis=2)}, "Pool.draws"),
        ({"proba": PROBA, "draws": np.full((3, 4, 2), 0.25)}, "classes"),
        ({"previous": PROBA[:2]}, "shape"),
        ({"previous": PROBA.astype(np.float16)}, "float32 or float64"),
        ({"previous": np.zeros((3, 2), np.int64)}, "float32 or float64"),
        ({"previous": np.where(PROBA == 0.8, np.nan, PROBA)}, "Pool.previous .* finite"),
        ({"previous": PROBA * 0.9}, "Pool.previous rows must sum to 1"),
        ({"proba": PROBA, "previous": np.full((3, 4), 0.25)}, "Pool.previous has 4 classes"),
        ({"outlier": True}, "index of a class"),
        ({"outlier": "none"}, "index of a class"),
        ({"outlier": -1}, "Pool.outlier is -1"),
        ({"proba": PROBA, "outlier": 2}, "Pool.outlier is 2"),
        ({"features": np.ones((3, 2), np.int64)}, "floating"),
        ({"features": np.ones((2, 2))}, "shape"),
        ({"cost": np.array([1.0, 0.0, 2.0])}, "above zero"),
        ({"cost": np.array([1.0, np.nan, 2.0])}, "finite"),
        ({"group": np.array([0.5, 1, 2])}, "integers"),
        ({"group": np.array([1, 2])}, "shape"),
    ],
)
def test_a_faulty_pool_is_refused_in_words(fields, words):
    with pytest.raises(PoolError, match=words):
        Pool(**{"ids": IDS, **fields})


def test_multi_label_rows_need_not_sum_to_one():
    assert Pool(IDS, proba=np.array([[1.0, 1.0], [0, 0], [0.3, 0.1]]), multi_label=True).task == "multi"


@pytest.mark.parametrize("library", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_probabilities_of_the_round_before_may_be_missing_for_whole_rows(library):
    previous = PROBA.copy()
    previous[1] = np.nan
    pool = Pool(IDS, previous=library(previous))
    assert pool.signals == {"previous"}
    assert pool.n_classes == 2
    nothing = Pool(IDS, proba=library(PROBA), previous=library(np.full((3, 2), np.nan)))
    assert nothing.signals == {"proba", "previous"}


def test_the_class_of_outliers_is_kept_when_rows_are_taken():
    pool = Pool(IDS, proba=PROBA, previous=PROBA[::-1].copy(), outlier=1).take(np.array([2]))
    assert pool.outlier == 1
    assert pool.previous.tolist() == [[0.2, 0.8]]
    assert Pool(IDS, outlier=5).outlier == 5


def test_what_the_model_says_of_labelled_items_may_be_missing_for_whole_rows():
    proba = np.array([[0.5, 0.5], [np.nan, np.nan], [0.1, 0.9]])
    assert Labeled(ids=IDS, n_classes=2, proba=proba).proba is proba


def test_rounding_of_row_sums_is_forgiven():
    assert len(Pool(IDS, proba=(PROBA + [[5e-4, 0]]).astype(np.float32))) == 3


def test_torch_signals_stay_torch_and_are_checked_too():
    pool = Pool(IDS, proba=torch.tensor(PROBA))
    assert isinstance(pool.proba, torch.Tensor)
    with pytest.raises(PoolError):
        Pool(IDS, proba=torch.tensor(PROBA * 2))
    with pytest.raises(PoolError):
        Pool(IDS, proba=torch.tensor(PROBA, dtype=torch.bfloat16))


def test_an_empty_pool_is_a_pool():
    assert len(Pool(np.empty(0, np.int64), proba=np.empty((0, 3)), features=np.empty((0, 4)))) == 0
    assert len(Pool(np.array([]))) == 0


def test_a_pool_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Pool(IDS).ids = IDS


def test_rows_are_taken_with_all_their_signals():
    pool = Pool(IDS, proba=PROBA, group=np.array([5, 6, 7])).take(np.array([2, 0]))
    assert pool.ids.tolist() == [2, 4]
    assert pool.proba.tolist() == [[0.5, 0.5], [0.2, 0.8]]
    assert pool.group.tolist() == [7, 5]


def test_class_counts_include_classes_never_seen():
    assert Labeled(ids=IDS, n_classes=4, targets=np.array([1, 1, 3])).class_counts().tolist() == [0, 2, 0, 1]
    targets = np.array([[True, True], [True, False], [False, False]])
    assert Labeled(ids=IDS, n_classes=2, targets=targets, multi_label=True).class_counts().tolist() == [2, 1]
    with pytest.raises(PoolError, match="not given"):
        Labeled(ids=IDS, n_classes=2).class_counts()


@pytest.mark.parametrize(
    "fields",
    [
        {"n_classes": 0},
        {"targets": np.array([0, 1, 2])},
        {"targets": np.array([0, -1, 1])},
        {"targets": np.array([0, 1])},
        {"targets": np.array([0.0, 1.0, 1.0])},
        {"targets": np.array([0, 1, 1]), "multi_label": True},
        {"targets": np.ones((3, 2)), "multi_label": True},
        {"features": np.ones((2, 3))},
        {"proba": np.ones((2, 2)) / 2},
        {"proba": np.ones((3, 4)) / 4},
        {"proba": np.ones((3, 2))},
        {"proba": np.array([[0.5, 0.5], [np.nan, 1.0], [0.1, 0.9]])},
    ],
)
def test_a_faulty_labelled_set_is_refused(fields):
    with pytest.raises(PoolError, match="Labeled"):
        Labeled(**{"ids": IDS, "n_classes": 2, **fields})


@pytest.mark.parametrize(
    ("pool", "labeled", "words"),
    [
        ({"multi_label": True}, {}, "multi-label"),
        ({"proba": PROBA}, {}, "classes"),
        ({"features": np.ones((3, 2))}, {"features": np.ones((1, 3))}, "width"),
        ({"features": np.ones((3, 2))}, {"features": torch.ones((1, 2))}, "libraries"),
        (
            {"proba": np.full((3, 3), 1 / 3)},
            {"proba": torch.full((1, 3), 1 / 3)},
            "Labeled.proba belong to different",
        ),
        ({}, {"ids": np.array([7])}, "in the pool"),
    ],
)
def test_a_pool_and_a_labelled_set_must_describe_one_project(pool, labeled, words):
    with pytest.raises(PoolError, match=words):
        check_pair(Pool(IDS, **pool), Labeled(**{"ids": np.array([9]), "n_classes": 3, **labeled}))
