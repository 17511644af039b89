"""The choices by bounds are those of the plain algorithms."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import distance

from acquisition import spreading
from acquisition.space import make_space, nearest_squared
from acquisition.spreading import draw_apart, farthest_first

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])
# Whole numbers make distances exact, so that ties are ties; few of them make many ties.
POINTS = arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(-4, 4))


def rng(seed=0):
    return np.random.default_rng(seed)


def plainly_farthest(points, n, *, known=None, passed_over=0):
    """Picks and reach, one pass over all points a choice."""
    squared = np.full(len(points), np.inf) if known is None else known.copy()
    picks, reach = [], []
    if known is None:
        picks = [int((points**2).sum(axis=1).argmin())]
        squared = ((points - points[picks[0]]) ** 2).sum(axis=1)
        reach = [squared.max()]
    while len(picks) < min(n, len(points)):
        order = np.lexsort((np.arange(len(points)), -squared))
        pick = int(order[min(passed_over, max(0, int((squared > 0).sum()) - 1))])
        if squared[pick] <= 0:
            break
        picks.append(pick)
        reach.append(squared[pick])
        squared = np.minimum(squared, ((points - points[pick]) ** 2).sum(axis=1))
        squared[pick] = 0
    return picks, np.sqrt(reach), np.sqrt(squared)


@given(POINTS, st.integers(1, 40), st.integers(0, 5))
def test_farthest_first_is_the_plain_greedy_choice(points, n, passed_over):
    found = farthest_first(make_space(points), n, passed_over=passed_over)
    picks, reach, left = plainly_farthest(points, n, passed_over=passed_over)
    assert found.picks.tolist() == picks
    np.testing.assert_allclose(found.reach, reach)
    np.testing.assert_allclose(found.distance, left)


@given(POINTS, st.integers(1, 40))
def test_farthest_first_keeps_away_from_what_is_known(points, n):
    known = (points**2).sum(axis=1)
    found = farthest_first(make_space(points), n, known=known)
    picks, reach, _ = plainly_farthest(points, n, known=known)
    assert found.picks.tolist() == picks
    np.testing.assert_allclose(found.reach, reach)
    np.testing.assert_array_equal(known, (points**2).sum(axis=1))


@LIBRARIES
@pytest.mark.parametrize("groups", [1, 5, 300])
def test_many_rows_in_few_or_many_groups_are_chosen_plainly(to, groups):
    centres = 5 * rng(0).normal(size=(groups, 6))
    points = centres[rng(1).integers(0, groups, 1_500)] + rng(2).normal(size=(1_500, 6))
    for passed_over in (0, 40):
        found = farthest_first(make_space(to(points)), 30, passed_over=passed_over)
        assert found.picks.tolist() == plainly_farthest(points, 30, passed_over=passed_over)[0]


def test_most_rows_are_never_looked_at_again(monkeypatch):
    looked_at = []
    plain = spreading.nearest_squared
    monkeypatch.setattr(
        spreading,
        "nearest_squared",
        lambda points, others: looked_at.append(len(points)) or plain(points, others),
    )
    points = make_space(rng().normal(size=(20_000, 20)))
    farthest_first(points, 100)
    # Two passes over everything, at the beginning and the end, in place of a hundred.
    assert looked_at.count(20_000) == 2
    assert sum(looked_at) < 5 * 20_000


@pytest.mark.parametrize("seed", range(5))
def test_the_radius_is_at_most_twice_the_best(seed):
    points = rng(seed).normal(size=(9, 2))
    full = distance.cdist(points, points)
    best = min(full[:, list(three)].min(axis=1).max() for three in combinations(range(9), 3))
    assert farthest_first(make_space(points), 3).distance.max() <= 2 * best


def test_nothing_is_chosen_twice_where_all_are_equal():
    points = make_space(np.ones((10, 3), np.float32))
    assert len(farthest_first(points, 5).picks) == 1
    assert len(draw_apart(points, 5, rng())) == 1
    assert len(draw_apart(make_space(np.zeros((10, 3))), 5, rng(), first=7)) == 1


@pytest.mark.parametrize("few_rows", [0, 4_096], ids=["by proposals", "pass by pass"])
def test_draws_have_the_probabilities_of_d_squared_sampling(monkeypatch, few_rows):
    monkeypatch.setattr(spreading, "_FEW_ROWS", few_rows)
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    space, source, runs = make_space(points), rng(0), 2_000
    drawn = Counter(tuple(draw_apart(space, 3, source, first=0).tolist()) for _ in range(runs))
    for second in (1, 2, 3):
        for third in {1, 2, 3} - {second}:
            once = points[:, 0] ** 2
            twice = np.minimum(once, (points[:, 0] - points[second, 0]) ** 2)
            chance = once[second] / once.sum() * twice[third] / twice.sum()
            spread = np.sqrt(runs * chance * (1 - chance))
            assert drawn[(0, second, third)] == pytest.approx(runs * chance, abs=5 * spread)


def test_weights_multiply_the_chances():
    points, source, runs = make_space(np.array([[0.0], [1.0], [-1.0]])), rng(0), 2_000
    weights = np.array([1.0, 1.0, 3.0])
    second = Counter(int(draw_apart(points, 2, source, first=0, weights=weights)[1]) for _ in range(runs))
    assert second[2] / runs == pytest.approx(0.75, abs=0.04)
    first = Counter(int(draw_apart(points, 1, source, weights=weights)[0]) for _ in range(runs))
    assert first[2] / runs == pytest.approx(0.6, abs=0.04)


@LIBRARIES
def test_draws_are_distinct_and_repeat_themselves(to, monkeypatch):
    monkeypatch.setattr(spreading, "_FEW_ROWS", 0)
    points = np.repeat(rng(1).normal(size=(50, 4)), 4, axis=0)
    draws = [draw_apart(make_space(to(points)), 80, rng(2)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    # Fifty distinct rows, four times each: no row is drawn beside its equal.
    assert len({row // 4 for row in draws[0]}) == len(draws[0]) == 50


def test_draws_cover_groups_better_than_chance():
    centres = 20 * rng(0).normal(size=(30, 5))
    group = rng(1).integers(0, 30, 6_000)
    points = make_space((centres[group] + rng(2).normal(size=(6_000, 5))).astype(np.float32))
    picks = draw_apart(points, 30, rng(3))
    assert len(set(group[picks].tolist())) >= 26
    assert float(np.sqrt(nearest_squared(points, points.take(picks))).mean()) < 10
