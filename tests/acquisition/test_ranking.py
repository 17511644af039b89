import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition import ranking as ranking_module
from acquisition.errors import UtilityError
from acquisition.pool import Pool
from acquisition.ranking import rank_by_order, rank_by_utility

COARSE = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=60)


def rng(seed=0):
    return np.random.default_rng(seed)


def codes(ranking):
    return [note.code for note in ranking.notes]


@given(utility=st.lists(st.floats(-1e6, 1e6), unique=True, max_size=40), n=st.integers(0, 50))
def test_order_is_the_descending_sort_of_the_utilities(utility, n):
    pool = Pool(np.arange(len(utility)) * 3 + 1)
    ranking = rank_by_utility(pool, np.array(utility, dtype=np.float64), n, rng())
    assert ranking.order.tolist() == pool.ids[np.argsort(-np.array(utility))][:n].tolist()


@given(utility=COARSE, n=st.integers(0, 70), seed=st.integers(0, 9))
def test_ties_follow_the_id_and_not_the_row(utility, n, seed):
    pool, utility = Pool(np.arange(len(utility)) + 100), np.array(utility)
    shuffled = rng(seed).permutation(len(utility))
    first = rank_by_utility(pool, utility, n, rng(1))
    other = rank_by_utility(pool.take(shuffled), utility[shuffled], n, rng(1))
    assert first.order.tolist() == other.order.tolist()


@given(utility=COARSE, seed=st.integers(0, 9))
def test_a_short_ranking_is_the_head_of_the_long_one(utility, seed):
    pool, utility = Pool(np.arange(len(utility))), np.array(utility)
    whole = rank_by_utility(pool, utility, len(utility), rng(seed)).order
    for n in range(len(utility)):
        assert rank_by_utility(pool, utility, n, rng(seed)).order.tolist() == whole[:n].tolist()


def test_ties_come_in_another_order_under_another_seed():
    pool = Pool(np.arange(50))
    orders = {tuple(rank_by_utility(pool, np.zeros(50), 50, rng(seed)).order.tolist()) for seed in range(5)}
    assert len(orders) == 5


def test_every_tied_row_comes_first_equally_often():
    pool = Pool(np.arange(10))
    first = [rank_by_utility(pool, np.ones(10), 1, rng(seed)).order[0] for seed in range(2000)]
    counts = np.bincount(first, minlength=10)
    assert counts.min() > 140
    assert counts.max() < 260


def test_equal_utilities_are_a_visible_state():
    assert codes(rank_by_utility(Pool(np.arange(3)), np.full(3, 0.2), 3, rng())) == ["degenerate"]
    assert codes(rank_by_utility(Pool(np.arange(3)), np.array([1.0, 2, 1]), 3, rng())) == []
    assert codes(rank_by_utility(Pool(np.arange(1)), np.ones(1), 3, rng())) == []


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_utility_is_refused(bad):
    with pytest.raises(UtilityError, match="1 of 3"):
        rank_by_utility(Pool(np.arange(3)), np.array([1.0, bad, 2.0]), 3, rng())


def test_a_utility_for_each_row_is_demanded():
    with pytest.raises(UtilityError, match="shape"):
        rank_by_utility(Pool(np.arange(3)), np.ones(4), 3, rng())


def test_rows_without_opinion_are_dealt_in_and_counted():
    utility = np.arange(100.0)
    utility[10:40] = np.nan
    ranking = rank_by_utility(Pool(np.arange(100)), utility, 100, rng())
    unscored = np.isnan(utility[ranking.positions(ranking.order)])
    assert np.flatnonzero(unscored[:70]).tolist() == [9, 19, 29, 39, 49, 59, 69]
    scored = ranking.order[~unscored]
    assert np.all(np.diff(utility[scored]) < 0)
    assert sorted(ranking.order.tolist()) == list(range(100))
    assert ranking.notes[0].as_dict()["unscored"] == 30


def test_few_rows_without_opinion_are_spread_over_the_whole_order():
    utility = np.arange(100.0)
    utility[[3, 4]] = np.nan
    ranking = rank_by_utility(Pool(np.arange(100)), utility, 100, rng())
    assert set(ranking.order[[49, 99]].tolist()) == {3, 4}


@given(missing=st.lists(st.booleans(), min_size=1, max_size=60), n=st.integers(0, 70))
def test_rows_without_opinion_lose_nobody(missing, n):
    utility = np.where(missing, np.nan, np.arange(float(len(missing))))
    ranking = rank_by_utility(Pool(np.arange(len(missing))), utility, n, rng())
    assert len(set(ranking.order.tolist())) == len(ranking.order) == min(n, len(missing))


def test_no_opinion_at_all_is_a_random_order_that_says_so():
    ranking = rank_by_utility(Pool(np.arange(20)), np.full(20, np.nan), 20, rng())
    assert codes(ranking) == ["unscored", "degenerate"]
    assert ranking.reason(3) == {"kind": "unscored", "utility": None}


def test_a_chosen_order_is_filled_up_and_says_so():
    ranking = rank_by_order(Pool(np.arange(10) + 5), np.array([3, 1]), np.zeros(10), 6, rng())
    assert ranking.order[:2].tolist() == [8, 6]
    assert len(set(ranking.order.tolist())) == 6
    assert codes(ranking) == ["filled"]
    assert rank_by_order(Pool(np.arange(10)), np.array([3, 1]), np.zeros(10), 1, rng()).order.tolist() == [3]


def test_reasons_are_found_by_id_and_made_on_demand():
    asked = []

    def explain(row):
        asked.append(row)
        return {"kind": "test", "row": row}

    pool = Pool(np.array([30, 10, 20]))
    ranking = rank_by_utility(pool, np.array([0.1, 0.2, 0.3]), 3, rng(), explain=explain)
    assert asked == []
    assert ranking.reasons([20, 30]) == [
        {"kind": "test", "row": 2, "utility": 0.3},
        {"kind": "test", "row": 0, "utility": 0.1},
    ]
    assert ranking.positions(np.array([10])).tolist() == [1]
    with pytest.raises(UtilityError, match="Item 11"):
        ranking.reason(11)
    with pytest.raises(UtilityError, match="Item 99"):
        ranking.reason(99)


def test_a_ranking_of_nothing_has_no_reasons():
    ranking = rank_by_utility(Pool(np.empty(0, np.int64)), np.empty(0), 5, rng())
    assert ranking.order.tolist() == []
    assert ranking.reasons([]) == []
    with pytest.raises(UtilityError, match="empty"):
        ranking.reason(1)


@pytest.mark.parametrize("pattern", ["random", "rising", "falling", "equal", "every step-th high", "rounded"])
def test_the_few_best_of_many_are_found_by_a_sample_whatever_the_pattern(pattern):
    size = 5 * ranking_module._PROBES + 3
    values = np.random.default_rng(0).random(size)
    values = {
        "random": values,
        "rising": np.sort(values),
        "falling": -np.sort(values),
        "equal": np.ones(size),
        "every step-th high": values + (np.arange(size) % 5 == 0),
        "rounded": np.round(values, 2),
    }[pattern]
    ordered = np.sort(values)[::-1]
    for n in (1, 2, 100, 5_000, size // 2, size - 1):
        assert ranking_module._nth_largest(values, n) == ordered[n - 1]
