"""Ratio, expected gradient length and CEAL: worked examples by hand."""

import numpy as np
import pytest

from acquisition import registry, scores
from acquisition.pool import Labeled, Pool
from acquisition.strategies.gradient_length import expected_error_length


def select(key, n=None, *, labels=0, multi_label=False, seed=0, **given):
    params = {name: given.pop(name) for name in list(given) if name not in {"proba", "features"}}
    signals = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}
    size = len(signals["proba"])
    classes = signals["proba"].shape[1]
    return registry.get(key).select(
        Pool(np.arange(10, 10 + size), multi_label=multi_label, **signals),
        Labeled(ids=1000 + np.arange(labels), n_classes=classes, multi_label=multi_label),
        size if n is None else n,
        np.random.default_rng(seed),
        **params,
    )


CONTEST = [[0.5, 0.49, 0.01], [0.4, 0.3, 0.3], [0.9, 0.09, 0.01]]


def test_ratio_is_the_second_guess_over_the_first():
    ranking = select("ratio", proba=CONTEST)
    np.testing.assert_allclose(ranking.utility, [0.98, 0.75, 0.1])
    assert ranking.order.tolist() == [10, 11, 12]
    assert ranking.reason(10) == {
        "kind": "ratio",
        "classes": [0, 1],
        "probabilities": [0.5, 0.49],
        "utility": pytest.approx(0.98),
    }


def test_ratio_of_each_label_is_the_rarer_answer_over_the_likelier():
    np.testing.assert_allclose(scores.binary_ratio(np.array([[0.2, 0.9, 0.5, 1.0]])), [[0.25, 1 / 9, 1, 0]])
    ranking = select("ratio", proba=[[0.2, 0.9]], multi_label=True, reduction="max")
    assert ranking.utility[0] == pytest.approx(0.25)


def test_gradient_length_is_doubt_times_the_length_of_the_features():
    # (1/2, 1/2): either label leaves an error of length sqrt(1/2); features of length 5 and 1; the last is certain.
    ranking = select(
        "gradient_length",
        proba=[[0.5, 0.5], [0.5, 0.5], [1, 0]],
        features=[[3, 4], [1, 0], [30, 40]],
    )
    np.testing.assert_allclose(ranking.utility, [5 * np.sqrt(0.5), np.sqrt(0.5), 0])
    assert ranking.order.tolist() == [10, 11, 12]
    assert ranking.reason(10)["length"] == 5


def test_the_closed_form_is_the_expected_norm_of_the_gradient():
    rng = np.random.default_rng(0)
    proba, features = rng.dirichlet(np.ones(4), 20), rng.normal(size=(20, 6))
    expected = [
        sum(p[c] * np.linalg.norm(np.outer(p - np.eye(4)[c], h)) for c in range(4))
        for p, h in zip(proba, features, strict=True)
    ]
    np.testing.assert_allclose(select("gradient_length", proba=proba, features=features).utility, expected)
    assert expected_error_length(np.eye(3)).tolist() == [0, 0, 0]


def test_gradient_length_of_each_label_is_reduced():
    # 2 p (1 - p) = 1/2 and 0; their mean times the length 2.
    ranking = select("gradient_length", proba=[[0.5, 1.0]], features=[[0, 2]], multi_label=True)
    assert ranking.utility[0] == pytest.approx(0.5)


DOUBTS = [[0.5, 0.5], [0.9, 0.1], [0.999, 0.001], [0.99999, 0.00001]]


def test_ceal_puts_what_the_model_is_sure_of_behind_everything_else():
    # Entropies in bits: 1, 0.469, 0.0114, 0.0002.
    ranking = select("ceal", proba=DOUBTS, threshold=0.05)
    assert ranking.order.tolist() == [10, 11, 12, 13]
    assert ranking.utility[1] > 0.1
    assert 0 < ranking.utility[2] < 1e-3
    (note,) = ranking.notes
    assert (note.code, note.values) == ("sure", {"sure": 2, "threshold": 0.05})
    assert [ranking.reason(row)["sure"] for row in (10, 11, 12, 13)] == [False, False, True, True]


@pytest.mark.parametrize("criterion", ["margin", "least_confidence", "entropy"])
def test_ceal_ranks_the_rest_by_its_criterion(criterion):
    proba = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    ours = select("ceal", proba=proba, criterion=criterion, threshold=0)
    assert ours.order.tolist() == select(criterion, proba=proba).order.tolist()
    assert ours.notes == ()


def test_ceal_grows_stricter_with_labels():
    few, many = (select("ceal", proba=DOUBTS, threshold=0.05, decay=0.5, labels=n) for n in (0, 400))
    # 0.05 / 2^4 is below 0.0114: only the last item is still sure.
    assert [few.notes[0].values["sure"], many.notes[0].values["sure"]] == [2, 1]
    assert many.notes[0].values["threshold"] == pytest.approx(0.05 / 16)


def test_ceal_is_sure_of_many_labels_only_if_it_is_of_each():
    ranking = select("ceal", proba=[[0.999, 0.5], [0.999, 0.001]], multi_label=True, reduction="sum")
    assert [ranking.reason(row)["sure"] for row in (10, 11)] == [False, True]
    assert ranking.order.tolist() == [10, 11]
