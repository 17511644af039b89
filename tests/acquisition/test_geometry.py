"""Worked examples of the strategies on features: small enough to be done by hand."""

import tracemalloc

import numpy as np
import pytest
import torch

from acquisition import registry
from acquisition.arrays import to_numpy
from acquisition.discriminator import fit, make_map, probability
from acquisition.errors import PoolError
from acquisition.pool import Labeled, Pool
from acquisition.strategies import cluster_margin as cluster_margin_module
from acquisition.strategies import discriminative as discriminative_module
from acquisition.strategies import typicality as typicality_module
from acquisition.strategies.clue import _soften
from acquisition.strategies.density_weighted import mean_cosine

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])
ON_FEATURES = (
    "badge",
    "clue",
    "cluster_margin",
    "contrastive",
    "core_set",
    "density_weighted",
    "discriminative",
    "gradient_length",
    "graph_cut",
    "kmeans",
    "probcover",
    "typicality",
)


def rng(seed=0):
    return np.random.default_rng(seed)


def line(*places):
    return np.array(places, dtype=np.float64)[:, None]


def select(key, n, *, features, proba=None, known=None, classes=2, seed=0, **params):
    """Rows are their own ids; what is known has ids above them."""
    labeled = Labeled(
        ids=1_000_000 + np.arange(0 if known is None else len(known)),
        n_classes=classes if proba is None else proba.shape[1],
        features=known,
        proba=None if known is None or proba is None else proba[: len(known)],
    )
    pool = Pool(np.arange(len(features)), features=features, proba=proba)
    return registry.get(key).select(pool, labeled, n, rng(seed), **params)


def codes(ranking):
    return {note.code for note in ranking.notes}


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("key", ON_FEATURES)
def test_features_that_are_not_finite_are_refused(key, bad):
    features = rng().normal(size=(200, 4))
    features[150, 2] = bad
    proba = rng().dirichlet(np.ones(3), 200)
    with pytest.raises(PoolError, match="infinite"), np.errstate(invalid="ignore"):
        select(key, 200, features=features, proba=proba, known=features[:5])


@pytest.mark.parametrize("key", ["core_set", "discriminative", "graph_cut", "typicality"])
def test_labelled_items_beyond_the_cap_are_sampled_in_sight(key):
    ranking = select(
        key, 5, features=rng(0).normal(size=(150, 3)), known=rng(1).normal(size=(120, 3)), max_pool=100
    )
    (note,) = [note for note in ranking.notes if note.code == "labelled-sampled"]
    assert note.values == {"used": 100, "size": 120}
    assert "labelled-sampled" not in codes(
        select(key, 5, features=rng(0).normal(size=(150, 3)), known=rng(1).normal(size=(90, 3)), max_pool=100)
    )


def test_probcover_leaves_no_label_out():
    """A label on every item: nothing is left to cover, however few items are considered."""
    features = np.arange(200.0)[:, None]
    ranking = select(
        "probcover", 5, features=features, known=features, radius=0.5, normalise=False, max_pool=100
    )
    assert np.nanmax(ranking.utility) == 0
    assert codes(ranking) >= {"sampled", "filled"}
    assert "labelled-sampled" not in codes(ranking)


def test_the_classifier_says_of_how_many_labels_it_learns(monkeypatch):
    monkeypatch.setattr(discriminative_module, "MOST_ROWS", 30)
    ranking = select(
        "discriminative", 5, features=rng(0).normal(size=(80, 3)), known=rng(1).normal(size=(50, 3))
    )
    assert [note.values for note in ranking.notes] == [{"used": 30, "size": 50}]


# Core-set: pool at 1, 4, 5 and 10 with a label at 0. 10 is farthest; then 5 is 5 from both; then 4 and 1 are 1 away.


def test_core_set_takes_the_farthest_from_labelled_and_chosen():
    ranking = select("core_set", 3, features=line(1, 4, 5, 10), known=line(0), normalise=False)
    assert ranking.order.tolist()[:2] == [3, 2]
    np.testing.assert_allclose(ranking.utility[[3, 2]], [10, 5])
    np.testing.assert_allclose(ranking.utility[[0, 1]], [1, 1])
    assert ranking.reason(3) == {"kind": "core_set", "distance": 10.0, "utility": 10.0}


def test_core_set_begins_in_the_middle_without_labels():
    ranking = select("core_set", 2, features=line(0, 4, 9, 30), normalise=False)
    # The mean is 10.75.
    assert ranking.order.tolist() == [2, 3]
    assert ranking.utility[2] == ranking.utility[3] == 21


def test_core_set_can_pass_over_outliers():
    features = line(0, 1, 2, 3, 4, 5, 6, 7, 8, 1_000)
    assert select("core_set", 1, features=features, known=line(0), normalise=False).order[0] == 9
    passed = select("core_set", 4, features=features, known=line(0), normalise=False, outliers=0.1)
    assert passed.order[0] == 8
    assert 9 not in passed.order


def test_core_set_goes_on_when_fewer_are_left_than_may_be_passed_over():
    # Eight copies of one item, which is labelled, and two others: there are two to choose, not none.
    features = line(0, 0, 0, 0, 0, 0, 0, 0, 5, 9)
    ranking = select("core_set", 2, features=features, known=line(0), normalise=False, outliers=0.2)
    assert ranking.order.tolist() == [8, 9]
    assert "filled" not in codes(ranking)


def test_core_set_compares_directions_unless_told_otherwise():
    features = np.array([[1.0, 0.1], [100.0, 0.0], [0.0, 0.5]])
    known = np.array([[1.0, 0.0]])
    assert select("core_set", 1, features=features, known=known).order[0] == 2
    assert select("core_set", 1, features=features, known=known, normalise=False).order[0] == 1


# ProbCover with balls of 0.25: 1 and 2 see four rows of 0..3, 4 and 5 see two, 6 itself.

COVERED = line(0, 0.1, 0.2, 0.3, 5, 5.1, 9)


def test_probcover_takes_the_ball_with_most_uncovered_rows():
    ranking = select("probcover", 3, features=COVERED, radius=0.25, normalise=False)
    assert ranking.order[0] in {1, 2}
    assert ranking.order[1] in {4, 5}
    assert ranking.order[2] == 6
    np.testing.assert_array_equal(ranking.utility[ranking.order], [4, 2, 1])
    assert ranking.utility[0] == 0
    (note,) = ranking.notes
    assert note.values == {"covered": 7, "size": 7, "radius": 0.25}


def test_probcover_leaves_out_what_labels_cover():
    ranking = select("probcover", 2, features=COVERED, known=line(0.15), radius=0.25, normalise=False)
    assert ranking.order[0] in {4, 5}
    assert ranking.order[1] == 6
    assert ranking.utility[ranking.order[0]] == 2


def test_probcover_fills_up_when_all_is_covered():
    ranking = select("probcover", 7, features=COVERED, radius=0.25, normalise=False)
    assert "filled" in codes(ranking)
    assert sorted(ranking.order.tolist()) == list(range(7))


@pytest.mark.parametrize(("purity", "radius"), [(1.0, 8), (0.5, 9)])
def test_the_radius_is_the_largest_of_that_purity(purity, radius):
    # Rows are 8, 9 and 10 away from the nearest row of the other group, each twice.
    ranking = select("probcover", 1, features=line(0, 1, 2, 10, 11, 12), purity=purity, normalise=False)
    assert ranking.reason(ranking.order[0])["radius"] == pytest.approx(radius)


def test_probcover_greedy_covers_as_the_plain_algorithm_does():
    points = rng(3).normal(size=(300, 2))
    near = np.linalg.norm(points[:, None] - points[None, :], axis=2) < 0.4
    covered, gains = np.zeros(300, dtype=bool), []
    for _ in range(30):
        pick = (near & ~covered).sum(axis=1).argmax()
        gains.append((near[pick] & ~covered).sum())
        covered |= near[pick]
    ranking = select("probcover", 30, features=points, radius=0.4, normalise=False)
    # Ties may be broken otherwise and lead elsewhere, but the first gains do not depend on them.
    np.testing.assert_array_equal(ranking.utility[ranking.order[:5]], gains[:5])


# BADGE: for p = (0.8, 0.2) the error is (-0.2, 0.2), so the gradient is sqrt(0.08) times as long as the features.


def test_badge_begins_with_the_longest_gradient():
    features, proba = line(1, 2, 3), np.array([[0.5, 0.5], [0.8, 0.2], [0.9, 0.1]])
    ranking = select("badge", 1, features=features, proba=proba)
    np.testing.assert_allclose(ranking.utility, [np.sqrt(0.5), np.sqrt(0.08) * 2, np.sqrt(0.02) * 3])
    assert ranking.order.tolist() == [0]
    assert ranking.reason(0)["classes"] == [0, 1]


def test_badge_treats_labels_of_multi_label_items_as_bits():
    features, proba = line(2, 1), np.array([[0.6, 0.9], [0.5, 0.5]])
    pool = Pool(np.arange(2), features=features, proba=proba, multi_label=True)
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=2, multi_label=True)
    ranking = registry.get("badge").select(pool, labeled, 2, rng())
    np.testing.assert_allclose(ranking.utility, [2 * np.hypot(0.4, 0.1), np.hypot(0.5, 0.5)])


def test_badge_takes_equal_items_once_while_there_are_others():
    features = np.repeat(rng(0).normal(size=(6, 4)), 20, axis=0)
    proba = np.repeat(rng(1).dirichlet(np.ones(3), 6), 20, axis=0)
    order = select("badge", 10, features=features, proba=proba).order
    assert sorted((order[:6] // 20).tolist()) == list(range(6))
    assert len(set(order.tolist())) == 10


def test_badge_spreads_what_is_equally_unsure():
    group = np.repeat(np.arange(8), 50)
    features = 5 * np.eye(8)[group] + 0.1 * rng(0).normal(size=(400, 8))
    proba = np.full((400, 2), 0.5)
    covered = [
        len(set(group[select("badge", 8, features=features, proba=proba, seed=s).order])) for s in range(5)
    ]
    assert min(covered) >= 7


# Cluster-margin: three rows at 0 with margins .1, .2, .3 and one far off with .4. Batch 3: two groups.


def test_cluster_margin_deals_small_groups_first():
    margins = np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    proba = np.stack([(1 + margins) / 2, (1 - margins) / 2], axis=1)
    features = line(0, 0.1, 0.2, 50, 0.3)
    ranking = select("cluster_margin", 4, features=features, proba=proba)
    # Three groups: the one at 50 is the smallest.
    assert ranking.order[0] == 3
    ranking = select("cluster_margin", 3, features=features, proba=proba, candidates=1)
    assert sorted(ranking.order.tolist()) == [0, 1, 2]
    np.testing.assert_allclose(ranking.utility, 1 - margins)


def test_cluster_margin_deals_in_turns():
    margins = np.array([0.1, 0.2, 0.3, 0.4])
    proba = np.stack([(1 + margins) / 2, (1 - margins) / 2], axis=1)
    ranking = select("cluster_margin", 3, features=line(0, 0.1, 0.2, 50), proba=proba)
    assert ranking.order.tolist() == [3, 0, 1]
    reason = ranking.reason(3)
    assert (reason["kind"], reason["group_size"], reason["classes"]) == ("cluster_margin", 1, [0, 1])


def test_candidates_beyond_the_cap_follow_the_margin(monkeypatch):
    monkeypatch.setattr(cluster_margin_module, "MOST_CANDIDATES", 20)
    proba = rng(0).dirichlet(np.ones(3), 100)
    ranking = select("cluster_margin", 40, features=rng(1).normal(size=(100, 2)), proba=proba)
    assert "candidates" in codes(ranking)
    assert set(ranking.order[:20].tolist()) == set(np.argsort(-ranking.utility)[:20].tolist())
    assert ranking.order[20:].tolist() == np.argsort(-ranking.utility)[20:40].tolist()


# CLUE: the centre of one group lies where the uncertainty is.


def test_clue_goes_where_the_model_is_unsure():
    proba = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4], [0.5, 0.5]])
    ranking = select("clue", 1, features=line(0, 1, 9, 10), proba=proba)
    assert ranking.order[0] in {2, 3}
    assert ranking.reason(3)["entropy"] == pytest.approx(1)
    flat = select("clue", 1, features=line(0, 1, 5, 9, 10), proba=np.full((5, 2), 0.5))
    assert flat.order.tolist() == [2]


def test_clue_serves_groups_of_much_uncertainty_first():
    features = np.concatenate([rng(0).normal(size=(60, 2)), 40 + rng(1).normal(size=(20, 2))])
    sure, unsure = np.tile([0.99, 0.01], (60, 1)), np.tile([0.5, 0.5], (20, 1))
    ranking = select("clue", 2, features=features, proba=np.concatenate([sure, unsure]))
    assert ranking.order[0] >= 60 > ranking.order[1]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_softening_divides_the_logits(temperature):
    logits = rng(0).normal(size=(20, 4))
    powers = np.exp(logits / temperature)
    softened = _soften(
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), temperature, multi_label=False
    )
    np.testing.assert_allclose(softened, powers / powers.sum(axis=1, keepdims=True), rtol=1e-9)
    labels = _soften(1 / (1 + np.exp(-logits)), temperature, multi_label=True)
    np.testing.assert_allclose(labels, 1 / (1 + np.exp(-logits / temperature)), rtol=1e-9)


def test_softening_is_exact_for_what_is_certain():
    proba = np.array([[1.0, 0.0, 0.0], [1e-30, 1e-30, 1.0]])
    assert np.all(np.isfinite(_soften(proba, 0.05, multi_label=False)))
    np.testing.assert_array_equal(_soften(proba[:1], 10, multi_label=False), proba[:1])


# Density: two rows to the right and one up. The mean is (2/3, 1/3).


@LIBRARIES
def test_density_is_the_mean_cosine(to):
    features = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(to_numpy(mean_cosine(to(features))), [0.5, 0.5, 0.25, 0])
    many = rng(0).normal(size=(500, 6))
    rows = many / np.linalg.norm(many, axis=1, keepdims=True)
    np.testing.assert_allclose(to_numpy(mean_cosine(to(many))), (rows @ rows.T).mean(axis=1), atol=1e-12)


def test_density_puts_back_what_is_like_nothing_else():
    features = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    proba = np.array([[0.7, 0.3], [0.6, 0.4], [0.5, 0.5]])
    plain = select("density_weighted", 3, features=features, proba=proba, beta=0, uncertainty="margin")
    np.testing.assert_allclose(plain.utility, [0.6, 0.8, 1])
    ranking = select("density_weighted", 3, features=features, proba=proba, uncertainty="margin")
    np.testing.assert_allclose(ranking.utility, [0.4, 1.6 / 3, 1 / 3])
    assert ranking.order.tolist() == [1, 0, 2]
    assert ranking.reason(1)["density"] == pytest.approx(2 / 3)


def test_what_points_away_from_the_pool_has_no_density():
    features = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    ranking = select("density_weighted", 4, features=features, proba=np.full((4, 2), 0.5))
    assert ranking.utility[3] == 0


# Discriminative


def test_discriminative_goes_where_no_label_is():
    here, there = rng(0).normal(size=(60, 4)), 8 + rng(1).normal(size=(20, 4))
    ranking = select(
        "discriminative",
        4,
        features=np.concatenate([here, there]),
        known=rng(2).normal(size=(20, 4)),
        normalise=False,
        steps=1,
    )
    assert np.all(ranking.order >= 60)
    assert np.all(ranking.utility[60:] > np.median(ranking.utility[:60]))


def test_each_step_counts_the_batch_so_far_as_labelled():
    offsets = 10 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    group = np.repeat(np.arange(3), 30)
    features = offsets[group] + rng(0).normal(size=(90, 3))
    chosen = select(
        "discriminative", 3, features=features, known=rng(1).normal(size=(10, 3)), normalise=False, steps=3
    )
    assert sorted(group[chosen.order].tolist()) == [0, 1, 2]


def test_discriminative_says_when_there_is_nothing_to_compare_with():
    ranking = select("discriminative", 5, features=rng(0).normal(size=(30, 3)))
    assert "no-labels" in codes(ranking)
    assert len(set(ranking.order.tolist())) == 5


@LIBRARIES
def test_the_classifier_tells_two_sets_apart(to):
    ours, theirs = rng(0).normal(size=(80, 3)), 3 + rng(1).normal(size=(40, 3))
    mapping = make_map(to(np.concatenate([ours, theirs])), rng(2))
    weights = fit(mapping(to(ours)), mapping(to(theirs)))
    chances = [to_numpy(probability(mapping(to(side)), weights)) for side in (ours, theirs)]
    assert np.mean(chances[0] < 0.5) > 0.95
    assert np.mean(chances[1] > 0.5) > 0.95


def test_the_classifier_begins_where_it_is_told_and_ends_at_the_same_place():
    ours, theirs = rng(0).normal(size=(50, 2)), 1 + rng(1).normal(size=(70, 2))
    mapping = make_map(ours, rng(2), width=20)
    cold = fit(mapping(ours), mapping(theirs))
    warm = fit(mapping(ours), mapping(theirs), rng(3).normal(size=cold.shape))
    for rows in (ours, theirs):
        np.testing.assert_allclose(
            probability(mapping(rows), cold), probability(mapping(rows), warm), atol=0.02
        )


# Typicality in large groups


def test_crowded_groups_are_measured_on_some_of_their_items_and_say_so(monkeypatch):
    monkeypatch.setattr(typicality_module, "MOST_MEMBERS", 30)
    features = rng(0).normal(size=(200, 3))
    ranking = select("typicality", 1, features=features)
    assert "neighbours-sampled" in codes(ranking)
    assert np.linalg.norm(features[ranking.order[0]]) < np.median(np.linalg.norm(features, axis=1))


def test_typicality_holds_one_working_copy_of_the_features(monkeypatch):
    monkeypatch.setattr(typicality_module, "MOST_MEMBERS", 500)
    features = rng(0).normal(size=(20_000, 256)).astype(np.float16)
    select("typicality", 1, features=features[:100])  # what is imported at the first call is no copy
    tracemalloc.start()
    try:
        select("typicality", 1, features=features)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    working = 2 * features.nbytes  # float32
    assert peak < 1.5 * working


@pytest.mark.parametrize("key", ON_FEATURES)
def test_reasons_name_their_strategy(key):
    features = rng().normal(size=(50, 4))
    ranking = select(
        key, 5, features=features, proba=rng().dirichlet(np.ones(3), 50), known=features[:9] + 0.1
    )
    assert {reason["kind"] for reason in ranking.reasons(ranking.order)} == {key}
