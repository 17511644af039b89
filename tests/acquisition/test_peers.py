"""Where another library implements the same rule, the choice is the same. Skipped where it is not installed.

modAL and scikit-activeml are installed with the development packages. baal and small-text are not: their agreement stands in
the output of the benchmark (`python -m benchmarks.acquisition --against baal`), run where they are.
"""

import warnings

import numpy as np
import pytest

from acquisition import registry
from acquisition.space import make_space, nearest_squared
from benchmarks import peers
from benchmarks.acquisition import Options, example

OPTIONS = Options(n=600, d=16, classes=4, batch=20, members=5, labeled=12, repeats=1, params={})


@pytest.fixture
def peer():
    """The peer's choice on the same arrays; skips where it is missing."""

    def choose(name, key, pool, labeled, n, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function = peers.find(name, key)
            except peers.PeerError as error:
                pytest.skip(str(error))
            return function(pool, labeled, n, **options)

    return choose


def ours(key, pool, labeled, n, **params):
    return registry.get(key).select(pool, labeled, n, np.random.default_rng(0), **params).order


@pytest.mark.parametrize("name", ["modal", "scikit-activeml", "small-text", "baal"])
@pytest.mark.parametrize("key", ["least_confidence", "margin", "entropy"])
def test_scores_of_uncertainty_choose_the_same(peer, name, key):
    pool, labeled = example(frozenset({"proba"}), OPTIONS)
    assert set(peer(name, key, pool, labeled, 20).tolist()) == set(ours(key, pool, labeled, 20).tolist())


@pytest.mark.parametrize("name", ["scikit-activeml", "small-text"])
def test_core_set_chooses_the_same_in_the_same_order(peer, name):
    pool, labeled = example(frozenset({"features"}), OPTIONS)
    np.testing.assert_array_equal(
        peer(name, "core_set", pool, labeled, 20), ours("core_set", pool, labeled, 20)
    )


def test_probcover_covers_as_much_at_the_same_radius(peer):
    pool, labeled = example(frozenset({"features"}), OPTIONS)
    radius = 1.1
    theirs = peer("scikit-activeml", "probcover", pool, labeled, 20, deltas=[radius])
    found = ours("probcover", pool, labeled, 20, radius=radius)
    points, known = make_space(np.asarray(pool.features)), make_space(np.asarray(labeled.features))

    def covered(ids):
        everything = np.minimum(nearest_squared(points, points.take(ids)), nearest_squared(points, known))
        return int((everything < radius**2).sum())

    # Both are greedy; equal gains are told apart otherwise.
    assert covered(found) == pytest.approx(covered(theirs), rel=0.02)


@pytest.mark.parametrize(("name", "key"), [("scikit-activeml", "clue"), ("small-text", "kmeans")])
def test_centres_cover_as_well(peer, name, key):
    pool, labeled = example(frozenset({"features", "proba"}), OPTIONS)
    points = make_space(np.asarray(pool.features))
    spread = [
        float(np.sqrt(nearest_squared(points, points.take(ids))).mean())
        for ids in (ours(key, pool, labeled, 20), peer(name, key, pool, labeled, 20))
    ]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)
