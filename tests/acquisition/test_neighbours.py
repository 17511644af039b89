import numpy as np
import pytest
import torch
from scipy.spatial import distance

from acquisition import clustering, neighbours, space
from acquisition.clustering import k_means
from acquisition.errors import PoolError

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(space, "_ENTRIES_CPU", 64)
    monkeypatch.setattr(space, "_ROWS_LEAST", 1)


@LIBRARIES
@pytest.mark.usefixtures("small_blocks")
def test_neighbour_distances_are_exact_and_leave_the_row_itself_out(to):
    points = rng().normal(size=(40, 6))
    full = distance.cdist(points, points)
    np.fill_diagonal(full, np.inf)
    for k in (1, 5, 39):
        found = np.sort(np.asarray(neighbours.neighbour_distances(to(points), k)), axis=1)
        np.testing.assert_allclose(found, np.sort(full, axis=1)[:, :k], rtol=1e-9)


def test_neighbours_are_at_most_the_others():
    assert neighbours.neighbour_distances(np.ones((3, 2)), 20).shape == (3, 2)
    assert neighbours.neighbour_distances(np.ones((1, 2)), 20).shape == (1, 0)
    assert neighbours.neighbour_distances(np.ones((0, 2)), 20).shape == (0, 0)


def test_duplicates_are_at_distance_zero_even_far_from_the_origin():
    points = np.repeat(rng().normal(size=(3, 50)) + 1000, 2, axis=0).astype(np.float32)
    assert np.all(neighbours.neighbour_distances(points, 1) == 0)
    nearest = neighbours.nearest_index(points, points[::2])
    assert np.all(neighbours.distance_to(points, points[::2], nearest) == 0)


@LIBRARIES
@pytest.mark.usefixtures("small_blocks")
def test_neighbours_may_be_sought_among_the_first_rows(to):
    points = rng().normal(size=(40, 6))
    full = distance.cdist(points, points)
    np.fill_diagonal(full, np.inf)
    found = np.sort(np.asarray(neighbours.neighbour_distances(to(points), 3, among=9)), axis=1)
    np.testing.assert_allclose(found, np.sort(full[:, :9], axis=1)[:, :3], rtol=1e-9)


def test_half_precision_features_are_computed_in_single():
    points = (rng().normal(size=(20, 300)) * 30).astype(np.float16)
    found = neighbours.neighbour_distances(points, 3)
    assert found.dtype == np.float32
    assert np.all(np.isfinite(found))


@LIBRARIES
def test_separate_groups_become_clusters(to):
    truth = rng(0).integers(0, 5, 300)
    points = 20 * np.eye(5)[truth] + rng(1).normal(size=(300, 5))
    clusters = k_means(to(points), 5, rng(2))
    assert len({(a, b) for a, b in zip(truth.tolist(), clusters.label.tolist(), strict=True)}) == 5
    assert clusters.sizes().sum() == 300
    own = points - np.asarray(clusters.centres)[clusters.label]
    np.testing.assert_allclose(clusters.distance, np.linalg.norm(own, axis=1), rtol=1e-9)


def test_each_row_belongs_to_its_nearest_centre():
    points = rng(0).normal(size=(400, 3))
    clusters = k_means(points, 12, rng(1), iterations=100)
    assert clusters.label.tolist() == distance.cdist(points, clusters.centres).argmin(axis=1).tolist()
    for number in range(12):
        np.testing.assert_allclose(clusters.centres[number], points[clusters.label == number].mean(axis=0))


def test_iterations_bring_the_centres_nearer():
    points = rng(0).normal(size=(500, 4))
    spread = [(k_means(points, 20, rng(1), iterations=steps).distance ** 2).sum() for steps in (0, 1, 10)]
    assert spread[0] > spread[1] > spread[2]


def test_there_are_no_more_clusters_than_distinct_rows():
    points = np.repeat(rng(0).normal(size=(3, 4)), 10, axis=0)
    clusters = k_means(points, 8, rng(1))
    assert clusters.sizes().tolist() == [10, 10, 10]
    assert np.all(clusters.distance < 1e-12)
    assert len(k_means(points[:1], 8, rng(1)).sizes()) == 1


def test_features_that_are_not_finite_are_refused():
    points = np.ones((5, 2))
    points[3, 1] = np.nan
    with pytest.raises(PoolError, match="NaN"):
        k_means(points, 2, rng())


def inertia(points, clusters):
    return float((distance.cdist(points, np.asarray(clusters.centres)).min(axis=1) ** 2).sum())


def test_centres_learned_from_a_sample_are_nearly_as_good(monkeypatch):
    points = 3 * rng(0).normal(size=(20, 8))[rng(1).integers(0, 20, 6_000)] + rng(2).normal(size=(6_000, 8))
    whole = np.median([inertia(points, k_means(points, 20, rng(seed))) for seed in range(5)])
    monkeypatch.setattr(clustering, "ROWS_PER_CLUSTER", 50)
    sampled = np.median([inertia(points, k_means(points, 20, rng(seed))) for seed in range(5)])
    assert sampled < 1.1 * whole


@LIBRARIES
def test_heavy_rows_draw_the_centre(to):
    points = np.array([[0.0], [1.0], [10.0]])
    clusters = k_means(to(points), 1, rng(), weights=np.array([3.0, 1.0, 1.0]))
    np.testing.assert_allclose(np.asarray(clusters.centres), [[11 / 5]])


def test_weights_count_in_a_sample_as_they_do_in_all_rows(monkeypatch):
    monkeypatch.setattr(clustering, "ROWS_PER_CLUSTER", 200)
    points = np.concatenate([rng(0).normal(size=(3_000, 2)), 50 + rng(1).normal(size=(30, 2))])
    weights = np.concatenate([np.full(3_000, 0.01), np.ones(30)])
    rows, counted = clustering._sample(len(points), 200, weights, rng(2))
    # Few rows carry half of the weight: all of them come, and sums are kept.
    assert np.isin(np.arange(3_000, 3_030), rows).all()
    estimates = [clustering._sample(len(points), 200, weights, rng(seed))[1].sum() for seed in range(200)]
    assert np.mean(estimates) == pytest.approx(weights.sum(), rel=0.02)
    assert len(rows) == len(counted) == 200


@LIBRARIES
@pytest.mark.parametrize("among", [None, 9])
def test_members_are_compared_with_each_other_only(to, among):
    points, members = rng(1).normal(size=(40, 3)), np.arange(3, 33, 2)
    expected = neighbours.neighbour_distances(points[members], 3, among=among)
    found = neighbours.neighbour_distances(to(points), 3, among=among, members=members)
    np.testing.assert_allclose(np.sort(np.asarray(found), axis=1), np.sort(expected, axis=1), rtol=1e-12)
