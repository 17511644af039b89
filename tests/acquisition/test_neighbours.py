import numpy as np
import pytest
import torch
from scipy.spatial import distance

from acquisition import neighbours
from acquisition.clustering import k_means
from acquisition.errors import PoolError

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK_ENTRIES", 64)


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
    assert np.all(neighbours.min_distance(points, points[::2]) == 0)


@LIBRARIES
@pytest.mark.usefixtures("small_blocks")
def test_min_distance_is_updated_as_centres_arrive(to):
    points, centres = rng(0).normal(size=(50, 4)), rng(1).normal(size=(6, 4))
    whole = distance.cdist(points, centres).min(axis=1)
    stepwise = neighbours.min_distance(to(points), to(centres[:2]))
    for one in range(2, 6):
        stepwise = neighbours.min_distance(to(points), to(centres[one : one + 1]), stepwise)
    np.testing.assert_allclose(np.asarray(stepwise), whole, rtol=1e-9)
    np.testing.assert_allclose(np.asarray(neighbours.min_distance(to(points), to(centres))), whole, rtol=1e-9)


def test_without_centres_everything_is_infinitely_far():
    assert np.all(np.isinf(neighbours.min_distance(np.ones((3, 2)), np.ones((0, 2)))))
    assert neighbours.min_distance(np.ones((1, 2)), np.ones((0, 2)), np.array([4.0])).tolist() == [4]


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
