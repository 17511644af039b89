"""What typicality and k-means promise beyond the contract."""

import numpy as np
import pytest

from acquisition import registry
from acquisition.pool import Labeled, Pool
from acquisition.strategies._clusters import deal

CENTRES = 30 * np.eye(4)
SIZES = (60, 40, 25, 12)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def groups():
    """Four groups of unlike size: group (n,), features (n, 4); the first row of each group sits in its middle."""
    group = np.repeat(np.arange(4), SIZES)
    features = CENTRES[group] + rng(1).normal(size=(len(group), 4))
    first = np.cumsum((0, *SIZES[:-1]))
    features[first] = CENTRES
    return group, features


def select(key, features, n, *, labeled_features=None, seed=0, **params):
    known = np.empty((0, 4)) if labeled_features is None else labeled_features
    labeled = Labeled(ids=1000 + np.arange(len(known)), n_classes=4, features=known)
    return registry.get(key).select(
        Pool(np.arange(len(features)), features=features), labeled, n, rng(seed), **params
    )


def codes(ranking):
    return {note.code for note in ranking.notes}


@pytest.mark.parametrize("key", ["typicality", "kmeans"])
@pytest.mark.parametrize("seed", range(3))
def test_the_first_batch_covers_all_groups_large_ones_first(groups, key, seed):
    group, features = groups
    assert group[select(key, features, 4, seed=seed).order].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("key", ["typicality", "kmeans"])
def test_an_item_from_the_middle_of_its_group_is_chosen(groups, key):
    group, features = groups
    order = select(key, features, 4).order
    away = np.linalg.norm(features - CENTRES[group], axis=1)
    for row in order:
        assert away[row] < np.median(away[group == group[row]])


def test_typicality_goes_where_no_label_is(groups):
    group, features = groups
    labelled = CENTRES[[0, 0, 1]] + 0.1
    ranking = select("typicality", features, 1, labeled_features=labelled)
    assert group[ranking.order[0]] == 2
    reason = ranking.reason(ranking.order[0])
    assert (reason["kind"], reason["labels_in_cluster"]) == ("typicality", 0)


def test_typicality_is_the_inverse_mean_distance_to_its_neighbours():
    features = np.array([[0.0], [1.0], [2.0], [4.0], [100.0], [100.5], [101.5], [103.5]])
    ranking = select_on(features, neighbours=2)
    # Two clusters of four: two neighbours of each row.
    expected = [1 / 1.5, 1, 1 / 1.5, 1 / 2.5, 1 / 1, 1 / 0.75, 1 / 1.25, 1 / 2.5]
    np.testing.assert_allclose(ranking.utility, expected, rtol=1e-4)


def select_on(features, **params):
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=2)
    pool = Pool(np.arange(len(features)), features=features)
    return registry.get("typicality").select(pool, labeled, 2, rng(), **params)


def test_small_clusters_come_after_the_others_even_without_a_label():
    few, many = 500 + rng(0).normal(size=(3, 4)), rng(1).normal(size=(40, 4))
    ranking = select("typicality", np.concatenate([few, many]), 1, labeled_features=many[:1])
    assert ranking.order[0] >= 3
    assert ranking.reason(ranking.order[0])["labels_in_cluster"] == 1


def test_labelled_items_without_features_are_a_note(groups):
    _, features = groups
    pool = Pool(np.arange(len(features)), features=features)
    ranking = registry.get("typicality").select(pool, Labeled(ids=np.array([999]), n_classes=4), 3, rng())
    assert "labelled-unseen" in codes(ranking)


@pytest.mark.parametrize("key", ["typicality", "kmeans"])
def test_a_capped_pool_says_so_and_still_ranks_everything(groups, key):
    features = np.repeat(groups[1], 2, axis=0)
    ranking = select(key, features, len(features), max_pool=100)
    assert {"sampled", "filled"} <= codes(ranking)
    assert np.isnan(ranking.utility).sum() == len(features) - 100
    assert sorted(ranking.order.tolist()) == list(range(len(features)))
    assert not np.isnan(ranking.utility[ranking.order[:100]]).any()
    assert ranking.reason(ranking.order[-1])["kind"] == "unscored"
    assert codes(select(key, features, 4)) == set()


@pytest.mark.parametrize("key", ["typicality", "kmeans"])
def test_more_items_than_clusters_are_dealt_in_turns(key):
    features = rng(0).normal(size=(700, 3))
    ranking = select_wide(key, features, 650)
    assert "clusters" in codes(ranking)
    assert len(set(ranking.order.tolist())) == 650


def select_wide(key, features, n):
    labeled = Labeled(ids=np.empty(0, np.int64), n_classes=2)
    return registry.get(key).select(Pool(np.arange(len(features)), features=features), labeled, n, rng())


def test_dealing_takes_the_best_of_each_cluster_in_turns():
    cluster = np.array([0, 0, 0, 1, 1, 2])
    utility = np.array([0.1, 0.9, 0.5, 0.2, 0.3, 0.0])
    assert deal(cluster, utility, np.array([2, 0, 1])).tolist() == [5, 1, 4, 2, 3, 0]
