"""The outlier-aware variation ratio, the LFTL margin and CAL: worked examples and what they must never do."""

import numpy as np
import pytest
import torch

from acquisition import registry
from acquisition.pool import Labeled, Pool
from acquisition.strategies import contrastive as contrastive_module
from acquisition.strategies.contrastive import divergence
from acquisition.strategies.contrastive_active import contrasted_margin


def rng(seed=0):
    return np.random.default_rng(seed)


def votes(*choices, classes=4):
    """A member for each vote, all but sure of it."""
    return (0.9 * np.eye(classes)[list(choices)] + 0.1 / classes).T


def by_disagreement(draws, *, outlier=None, targets=(), n=None, **params):
    pool = Pool(np.arange(10, 10 + len(draws)), draws=np.asarray(draws), outlier=outlier)
    labeled = Labeled(
        ids=1000 + np.arange(len(targets)),
        n_classes=pool.n_classes,
        targets=np.array(targets, dtype=np.int64),
    )
    return registry.get("outlier_variation_ratio").select(
        pool, labeled, len(draws) if n is None else n, rng(), **params
    )


# Two of five against; three of five against, the mean says outlier (class 3); all agree; all agree on outlier.
FOUR = [votes(0, 0, 1, 2, 0), votes(3, 3, 3, 0, 1), votes(1, 1, 1, 1, 1), votes(3, 3, 3, 3, 3)]


def test_disagreement_decides_and_entropy_breaks_ties():
    ranking = by_disagreement([votes(0, 0, 1, 2, 0), votes(0, 0, 0, 1, 1), votes(1, 1, 1, 1, 1)])
    # Two of five against twice; the votes of the first are spread over three classes.
    assert ranking.order.tolist() == [10, 11, 12]
    mean = votes(0, 0, 1, 2, 0).mean(axis=1)
    spread = -(mean * np.log(mean)).sum() / np.log(4)
    assert ranking.utility[0] == pytest.approx((0.4 * 5 + spread) / 6)


def test_predicted_outliers_follow_all_others_the_doubtful_ones_first():
    ranking = by_disagreement(FOUR, outlier=3, targets=[0, 1, 3])
    assert ranking.order.tolist() == [10, 12, 11, 13]
    assert ranking.notes == ()
    assert np.all(ranking.utility > 0)
    assert [ranking.reason(row)["outlier"] for row in (10, 11, 12, 13)] == [False, True, False, True]


def test_they_are_refilled_and_not_lost_when_the_batch_is_larger_than_the_rest():
    assert by_disagreement(FOUR, outlier=3, targets=[3], n=3).order.tolist() == [10, 12, 11]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"targets": [0, 3]}, "no-outlier-class"),
        ({"outlier": 3, "targets": [0, 1]}, "no-outlier-labels"),
        ({"outlier": 3, "targets": [0, 3], "keep_out": False}, None),
    ],
)
def test_nothing_is_kept_out_while_outliers_are_unknown_or_wanted(options, note):
    ranking = by_disagreement(FOUR, **options)
    assert set(ranking.order[:2].tolist()) == {10, 11}
    assert [found.code for found in ranking.notes] == ([note] if note else [])


def by_contrast(now, before, *, ids=None, n=None, **params):
    now = np.asarray(now, dtype=np.float64)
    pool = Pool(
        np.arange(1, 1 + len(now)) if ids is None else ids,
        proba=now,
        previous=np.full_like(now, np.nan) if before is None else np.asarray(before, dtype=np.float64),
    )
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=now.shape[1])
    return registry.get("contrastive_active").select(
        pool, labeled, len(now) if n is None else n, rng(), **params
    )


ROWS = [[0.9, 0.05, 0.05], [0.8, 0.15, 0.05], [0.4, 0.35, 0.25], [0.1, 0.5, 0.4]]


@pytest.mark.parametrize("library", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_the_change_of_the_last_round_is_carried_on(library):
    now, before = library([[0.6, 0.3, 0.1]]), library([[0.5, 0.3, 0.2]])
    assert float(contrasted_margin(now, before, 0.03, "prob")[0]) == pytest.approx(0.303)
    assert float(contrasted_margin(now, before, 0.03, "log")[0]) == pytest.approx(0.6986, abs=1e-4)
    assert float(contrasted_margin(now, now, 0.5, "prob")[0]) == pytest.approx(0.3)
    nothing = library([[np.nan, np.nan, np.nan]])
    assert float(contrasted_margin(now, nothing, 0.5, "prob")[0]) == pytest.approx(0.3)


def test_easy_classes_are_put_back():
    ranking = by_contrast(ROWS, None, easiest=2, class_weight=0.1)
    assert ranking.order.tolist() == [4, 3, 2, 1]
    told = [ranking.reason(row)["score"] for row in (1, 2, 3, 4)]
    np.testing.assert_allclose(told, [1.1, 0.8647, 0.1588, 0.1176], atol=1e-4)
    np.testing.assert_allclose(ranking.utility, 1 - np.array(told) / 1.1)


def test_without_change_and_classes_it_is_margin_sampling():
    proba = rng().dirichlet(np.ones(4), 60)
    before = rng(1).dirichlet(np.ones(4), 60)
    ours = by_contrast(proba, before, alpha=0, class_weight=0)
    margin = registry.get("margin").select(
        Pool(ours.ids, proba=proba), Labeled(ids=np.empty(0, np.int64), n_classes=4), 60, rng()
    )
    assert ours.order.tolist() == margin.order.tolist()


def test_an_item_that_gained_trust_by_itself_falls_behind_its_equal():
    now = [[0.6, 0.4], [0.6, 0.4]]
    before = [[0.5, 0.5], [0.7, 0.3]]
    assert by_contrast(now, before, alpha=0.5, class_weight=0).order.tolist() == [2, 1]
    assert by_contrast(now, before, alpha=0.5).reason(2)["before"] == pytest.approx([0.7, 0.3])
    assert "before" not in by_contrast(now, None).reason(2)


def test_which_items_show_easy_classes_does_not_depend_on_the_order_of_rows():
    # Every margin is the same, so that the easiest are a matter of ids alone.
    proba = np.array([[0.8, 0.2], [0.2, 0.8]] * 10)
    ids = np.arange(1, 21)
    first = by_contrast(proba, None, easiest=5)
    shuffled = rng(3).permutation(20)
    other = by_contrast(proba[shuffled], None, ids=ids[shuffled], easiest=5)
    assert first.order.tolist() == other.order.tolist()


def by_neighbours(features, proba, known_features, known_proba, *, n=None, multi_label=False, **params):
    pool = Pool(
        np.arange(10, 10 + len(proba)),
        proba=np.asarray(proba, dtype=np.float64),
        features=np.asarray(features, dtype=np.float64),
        multi_label=multi_label,
    )
    given = {} if known_proba is None else {"proba": np.asarray(known_proba, dtype=np.float64)}
    labeled = Labeled(
        ids=1000 + np.arange(len(known_features)),
        n_classes=pool.n_classes,
        features=np.asarray(known_features, dtype=np.float64).reshape(
            len(known_features), pool.features.shape[1]
        ),
        multi_label=multi_label,
        **given,
    )
    return registry.get("contrastive").select(pool, labeled, len(proba) if n is None else n, rng(), **params)


def test_the_model_is_asked_where_it_contradicts_itself_about_neighbours():
    # Labelled at 0 and 1 (nearly class 0) and at 10 (class 1); one item near each end, one in contradiction.
    ranking = by_neighbours(
        [[0.4], [9.0], [0.6]],
        [[0.8, 0.2], [0.2, 0.8], [0.2, 0.8]],
        [[0.0], [1.0], [10.0]],
        [[0.8, 0.2], [0.6, 0.4], [0.2, 0.8]],
        neighbours=2,
    )

    def kl(p, q):
        return p[0] * np.log(p[0] / q[0]) + p[1] * np.log(p[1] / q[1])

    left, middle, right, same = (0.8, 0.2), (0.6, 0.4), (0.2, 0.8), (0.8, 0.2)
    np.testing.assert_allclose(
        ranking.utility,
        [
            (kl(left, same) + kl(middle, same)) / 2,
            (kl(right, right) + kl(middle, right)) / 2,
            (kl(left, right) + kl(middle, right)) / 2,
        ],
    )
    assert ranking.order[0] == 12


def test_divergence_of_labels_of_their_own_is_reduced():
    theirs = np.array([[0.5, 0.9]])
    apart = divergence(np.array([[0.5, 0.5]]), theirs, np.array([[0]]), lambda block: block.sum(axis=0))
    expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert apart[0] == pytest.approx(expected)


def test_labelled_items_that_the_model_cannot_see_are_passed_over():
    unseen = [[np.nan, np.nan], [0.9, 0.1]]
    ranking = by_neighbours([[0.0]], [[0.5, 0.5]], [[0.0], [5.0]], unseen, neighbours=1)
    assert ranking.utility[0] == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))


def test_labelled_items_without_finite_features_are_passed_over():
    for bad in (np.nan, np.inf):
        ranking = by_neighbours([[0.0]], [[0.5, 0.5]], [[bad], [5.0]], [[0.5, 0.5], [0.9, 0.1]], neighbours=1)
        assert ranking.utility[0] == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))


def test_a_sample_of_many_labelled_items_is_said(monkeypatch):
    monkeypatch.setattr(contrastive_module, "MOST_LABELED", 4)
    ranking = by_neighbours([[0.0]], [[0.5, 0.5]], np.arange(6.0)[:, None], np.full((6, 2), 0.5))
    assert [note.values for note in ranking.notes if note.code == "labelled-sampled"] == [
        {"used": 4, "size": 6}
    ]


def test_many_neighbours_of_many_classes_are_taken_in_small_blocks(monkeypatch):
    proba = rng().dirichlet(np.ones(3), 40)
    features, known = rng(1).normal(size=(40, 2)), rng(2).normal(size=(20, 2))
    theirs = rng(3).dirichlet(np.ones(3), 20)
    expected = by_neighbours(features, proba, known, theirs, neighbours=5).utility
    seen = []

    def watch(mine, *rest):
        seen.append(len(mine))
        return divergence(mine, *rest)

    monkeypatch.setattr(contrastive_module, "_ENTRIES", 100)
    monkeypatch.setattr(contrastive_module, "divergence", watch)
    np.testing.assert_allclose(by_neighbours(features, proba, known, theirs, neighbours=5).utility, expected)
    assert max(seen) == 100 // (5 * 3)


@pytest.mark.parametrize("known", [None, [[np.nan, np.nan]]])
def test_nothing_to_compare_with_is_no_opinion_and_said(known):
    ranking = by_neighbours([[0.0], [1.0]], [[0.5, 0.5], [0.9, 0.1]], [[0.0]], known)
    assert np.isnan(ranking.utility).all()
    assert "labelled-unseen" in {note.code for note in ranking.notes}


def test_a_large_pool_is_sampled_in_sight():
    proba = rng().dirichlet(np.ones(2), 150)
    ranking = by_neighbours(rng().normal(size=(150, 2)), proba, [[0, 0]], [[0.5, 0.5]], max_pool=100)
    assert np.isnan(ranking.utility).sum() == 50
    assert "sampled" in {note.code for note in ranking.notes}
