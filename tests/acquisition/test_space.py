import numpy as np
import pytest
import torch
from scipy.spatial import distance

from acquisition import space
from acquisition.arrays import to_numpy
from acquisition.space import make_space, nearest_squared

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(space, "_ENTRIES_CPU", 64)
    monkeypatch.setattr(space, "_ROWS_LEAST", 1)
    monkeypatch.setattr(space, "_COLUMNS_AT_ONCE", 3)


@LIBRARIES
def test_squared_distances_are_those_of_the_rows(to):
    rows, others = rng(0).normal(size=(7, 4)), rng(1).normal(size=(3, 4))
    found = make_space(to(rows)).squared_to(make_space(to(others)))
    np.testing.assert_allclose(to_numpy(found), distance.cdist(rows, others) ** 2, rtol=1e-12)


@LIBRARIES
def test_outer_products_are_compared_without_being_written_out(to):
    left, right = rng(0).normal(size=(6, 3)), rng(1).normal(size=(6, 5))
    explicit = np.einsum("na,nb->nab", left, right).reshape(6, 15)
    points = make_space(to(left), to(right))
    np.testing.assert_allclose(to_numpy(points.lengths), (explicit**2).sum(axis=1), rtol=1e-12)
    found = to_numpy(points.squared_to(points.take(np.array([4, 1]))))
    np.testing.assert_allclose(found, distance.cdist(explicit, explicit[[4, 1]]) ** 2, rtol=1e-9, atol=1e-12)


@LIBRARIES
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("centres", [1, 3, 8])
def test_the_nearest_centre_is_found_over_all_blocks(to, centres):
    rows, others = rng(0).normal(size=(100, 4)), rng(1).normal(size=(centres, 4))
    found = nearest_squared(make_space(to(rows)), make_space(to(others)))
    expected = distance.cdist(rows, others).min(axis=1) ** 2
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-12)


def test_without_centres_everything_is_infinitely_far():
    points = make_space(np.ones((3, 2), np.float32))
    found = nearest_squared(points, points.part(0, 0))
    assert found.dtype == np.float32
    assert np.all(np.isinf(found))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_is_at_no_distance_from_its_equal(dtype):
    rows = rng().normal(size=(200, 384)).astype(dtype)
    points = make_space(rows)
    assert np.all(nearest_squared(points, points) == 0)
    nearly = make_space(rows + dtype(0.01) * rng(1).normal(size=rows.shape).astype(dtype))
    assert np.all(nearest_squared(points, nearly) > 0)


@pytest.mark.parametrize(("rows", "width"), [(0, 5), (1, 5), (100, 1), (100, 10**9)])
def test_blocks_cover_every_row_once(rows, width):
    covered = [row for start, stop in space.blocks(rows, width) for row in range(start, stop)]
    assert covered == list(range(rows))
    assert len(list(space.blocks(rows, width))) >= 1
