from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from acquisition import compose
from acquisition.compose import (
    MODES,
    exploration_keys,
    exploration_order,
    serve_order,
    stochastic_top_k,
    weights_beyond,
)
from acquisition.errors import ParameterError, UtilityError
from acquisition.pool import Pool
from acquisition.ranking import rank_by_utility

ALL_MODES = pytest.mark.parametrize("mode", MODES)
UTILITIES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).map(np.array)


def rng(seed=0):
    return np.random.default_rng(seed)


def weights(utility, mode, beta):
    if mode == "power":
        return utility**beta
    return np.exp(beta * utility) if mode == "softmax" else (stats.rankdata(-utility)) ** -beta


@ALL_MODES
@given(utility=UTILITIES, n=st.integers(0, 50), beta=st.sampled_from([0.0, 0.5, 1.0, 8.0]))
def test_a_draw_is_without_replacement_and_its_probabilities_are_probabilities(mode, utility, n, beta):
    draw = stochastic_top_k(utility, n, mode=mode, beta=beta, rng=rng())
    assert len(set(draw.positions.tolist())) == len(draw.positions) == min(n, len(utility)) == len(draw.q)
    assert np.all((draw.q > 0) & (draw.q <= 1))
    if n >= len(utility):
        assert draw.q[-1] == pytest.approx(1)


@ALL_MODES
@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_q_is_the_weight_over_the_weight_that_remains(mode, beta):
    utility = rng(1).random(12)
    draw = stochastic_top_k(utility, 7, mode=mode, beta=beta, rng=rng(2))
    weight, left = weights(utility, mode, beta), np.ones(12, bool)
    for position, q in zip(draw.positions, draw.q, strict=True):
        assert q == pytest.approx(weight[position] / weight[left].sum())
        left[position] = False


@ALL_MODES
def test_first_draws_have_the_frequencies_of_their_weights(mode):
    utility = np.array([0.1, 0.2, 0.4, 0.9, 0.4])
    first = [
        stochastic_top_k(utility, 1, mode=mode, beta=2.0, rng=rng(seed)).positions[0] for seed in range(4000)
    ]
    expected = weights(utility, mode, 2.0)
    observed = np.bincount(first, minlength=5)
    assert stats.chisquare(observed, 4000 * expected / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("beta", [None, np.inf])
def test_without_noise_it_is_the_sort(beta):
    utility = rng(0).random(100)
    draw = stochastic_top_k(utility, 30, beta=beta, rng=rng())
    assert draw.positions.tolist() == np.argsort(-utility)[:30].tolist()
    assert set(draw.q.tolist()) == {1.0}


@ALL_MODES
def test_a_larger_beta_draws_better_rows(mode):
    utility = rng(0).random(2000)
    means = [
        utility[stochastic_top_k(utility, 50, mode=mode, beta=b, rng=rng(1)).positions].mean()
        for b in (0, 1, 9)
    ]
    assert means[0] < means[1] < means[2]


@ALL_MODES
def test_the_noise_belongs_to_the_id(mode):
    utility, ids = rng(0).integers(1, 5, 60) / 5, np.arange(60) + 900
    shuffled = rng(3).permutation(60)
    first = stochastic_top_k(utility, 20, mode=mode, rng=rng(1), ids=ids)
    other = stochastic_top_k(utility[shuffled], 20, mode=mode, rng=rng(1), ids=ids[shuffled])
    assert ids[first.positions].tolist() == ids[shuffled][other.positions].tolist()
    np.testing.assert_allclose(first.q, other.q)


def test_rows_of_no_weight_come_last_and_uniformly():
    utility = np.array([0.0, 0.5, 0.0, 0.25, 0.0])
    draw = stochastic_top_k(utility, 5, mode="power", rng=rng(4))
    assert set(draw.positions[:2].tolist()) == {1, 3}
    np.testing.assert_allclose(draw.q[1:], [1, 1 / 3, 1 / 2, 1])
    np.testing.assert_allclose(stochastic_top_k(np.zeros(4), 4, rng=rng()).q, [1 / 4, 1 / 3, 1 / 2, 1])


def test_no_opinion_counts_as_the_median():
    utility = np.array([0.1, np.nan, 0.9, 0.5])
    filled = np.array([0.1, 0.5, 0.9, 0.5])
    for mode in MODES:
        one = stochastic_top_k(utility, 4, mode=mode, rng=rng(5))
        other = stochastic_top_k(filled, 4, mode=mode, rng=rng(5))
        assert one.positions.tolist() == other.positions.tolist()
    assert len(stochastic_top_k(np.full(3, np.nan), 3, rng=rng()).positions) == 3


def test_extreme_weights_keep_exact_probabilities():
    utility = np.array([0.0, 1.0, 2.0])
    draw = stochastic_top_k(utility, 3, mode="softmax", beta=5000.0, rng=rng())
    assert draw.positions.tolist() == [2, 1, 0]
    np.testing.assert_allclose(draw.q, [1, 1, 1])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"beta": -1.0}, ParameterError, "beta"),
        ({"beta": np.nan}, ParameterError, "beta"),
        ({"beta": 1e308, "mode": "softmax"}, ParameterError, "overflows"),
        ({"mode": "cubic"}, ParameterError, "power, softrank, softmax"),
    ],
)
def test_a_wrong_option_is_named(options, error, words):
    with pytest.raises(error, match=words):
        stochastic_top_k(np.array([1.0, 20.0]), 1, rng=rng(), **options)


def test_utilities_that_a_mode_cannot_take_are_refused():
    with pytest.raises(UtilityError, match="softrank"):
        stochastic_top_k(np.array([-1.0, 2.0]), 1, mode="power", rng=rng())
    with pytest.raises(UtilityError, match="finite"):
        stochastic_top_k(np.array([np.inf, 2.0]), 1, rng=rng())


def test_exploration_keys_are_fixed_distinct_and_even():
    keys = exploration_keys(11, np.arange(100_000))
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == len(keys)
    assert exploration_keys(11, np.array([5, 3])).tolist() == keys[[5, 3]].tolist()
    # These never change: stored projects rely on them.
    assert exploration_keys(0, np.array([0, 1])).tolist() == [12035550249420947055, 12935080325729570654]
    counts = np.histogram(keys.astype(np.float64), bins=50, range=(0, 2.0**64))[0]
    assert stats.chisquare(counts).pvalue > 1e-4
    other = exploration_keys(12, np.arange(100_000))
    assert abs(np.corrcoef(keys.astype(float), other.astype(float))[0, 1]) < 0.02


@given(ids=st.lists(st.integers(0, 10**9), unique=True, max_size=50), n=st.integers(0, 60))
def test_exploration_order_is_that_of_the_keys(ids, n):
    ids = np.array(ids, dtype=np.int64)
    whole = exploration_order(4, ids)
    assert all(a < b for a, b in pairwise(exploration_keys(4, whole).tolist()))
    assert exploration_order(4, ids, n).tolist() == whole[:n].tolist()


def serve(utility, share, n, seed, *, mode="power", beta=1.0, project=3, window=None):
    """What a round does, on ids 0..N-1."""
    generator = rng(seed)
    draw = stochastic_top_k(utility, window or n, mode=mode, beta=beta, rng=generator)
    order = exploration_order(project, np.arange(len(utility)))
    return serve_order(draw.positions, draw.q, order, share, n, len(utility), generator)


@given(utility=st.lists(st.floats(0, 1), min_size=1, max_size=40, unique=True), n=st.integers(0, 50))
def test_without_exploration_the_served_order_is_the_sort(utility, n):
    served = serve(np.array(utility), 0.0, n, 0, beta=None)
    assert served.ids.tolist() == np.argsort(-np.array(utility))[:n].tolist()
    assert not served.explore.any()
    assert np.all(served.propensity == 1)


@given(utility=UTILITIES, share=st.floats(0, 1), n=st.integers(0, 50), seed=st.integers(0, 99))
def test_nothing_is_served_twice_and_propensities_are_probabilities(utility, share, n, seed):
    served = serve(utility, share, n, seed)
    assert len(set(served.ids.tolist())) == len(served) == min(n, len(utility))
    assert np.all((served.propensity > 0) & (served.propensity <= 1))


def test_exploration_alone_is_the_order_of_the_keys_with_equal_propensities():
    served = serve(rng(0).random(30), 1.0, 10, 0)
    assert served.ids.tolist() == exploration_order(3, np.arange(30))[:10].tolist()
    assert served.explore.all()
    np.testing.assert_allclose(served.propensity, 1 / np.arange(30, 20, -1))


def test_the_number_of_exploration_draws_is_binomial():
    utility = rng(0).random(400)
    counts = [int(serve(utility, 0.3, 50, seed).explore.sum()) for seed in range(400)]
    edges = [0, 11, 13, 15, 17, 19, 51]
    observed = np.histogram(counts, bins=edges)[0]
    expected = 400 * np.diff(stats.binom.cdf(np.array(edges) - 1, 50, 0.3))
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("beta", [None, 1.0, 6.0])
def test_propensities_are_the_frequencies_over_many_seeds(beta):
    """The expectation of 1/propensity, over what is served at a place, is the number of items still there."""
    utility = np.array([0.9, 0.7, 0.4, 0.3, 0.1, 0.05])
    runs, inverse = 2000, np.zeros((4, 6))
    for seed in range(runs):
        served = serve(utility, 0.4, 4, seed, beta=beta, project=seed * 7 + 1, window=6)
        inverse[np.arange(4), served.ids] += 1 / served.propensity / runs
    # At the first place that holds for each item alone: how often it is served is its propensity.
    np.testing.assert_allclose(inverse[0], np.ones(6), atol=0.3)
    np.testing.assert_allclose(inverse.sum(axis=1), [6, 5, 4, 3], rtol=0.08)


def test_inclusion_is_what_the_propensities_promise():
    """Weighted by 1/propensity, the first served item estimates a mean of the pool without bias."""
    utility, truth = rng(0).random(40), rng(1).random(40)
    estimates = []
    for seed in range(1500):
        served = serve(utility, 0.2, 1, seed, beta=4.0, project=seed + 1, window=40)
        estimates.append(truth[served.ids[0]] / served.propensity[0] / 40)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth.mean()) < 4 * error
    assert abs(np.mean(truth[np.argsort(-utility)[:5]]) - truth.mean()) > 4 * error


def test_a_window_of_the_ranking_gives_nearly_the_propensities_of_all_of_it():
    utility = rng(0).random(5000)
    part = serve(utility, 0.1, 100, 5, window=100)
    whole = serve(utility, 0.1, 100, 5, window=5000)
    np.testing.assert_array_equal(part.ids, whole.ids)
    ranked = ~part.explore
    np.testing.assert_allclose(part.propensity[ranked], whole.propensity[ranked], rtol=0.01)


def ranked(utility, n, *, missing=()):
    utility = np.array(utility, dtype=float)
    utility[list(missing)] = np.nan
    return rank_by_utility(Pool(np.arange(len(utility)) + 7), utility, n, rng(1))


def test_a_ranking_is_served_in_its_own_order_unless_it_is_loosened():
    ranking = ranked(rng(0).random(50), 20, missing=[3])
    plain = compose.serve(ranking, 20, jointly=False, seed=1, rng=rng())
    assert plain.ids.tolist() == ranking.order.tolist()
    loose = compose.serve(ranking, 20, jointly=False, beta=1.0, seed=1, rng=rng())
    assert loose.ids.tolist() != plain.ids.tolist()
    assert np.all(loose.propensity < 1)


def test_what_filters_hold_back_comes_after_everything_and_is_explored_all_the_same():
    ranking, held = ranked(rng(0).random(10), 10), np.array([900, 800, 700])
    whole = compose.serve(ranking, 12, jointly=False, beta=2.0, seed=1, rng=rng(), held=held)
    assert set(whole.ids[:10].tolist()) == set(ranking.ids.tolist())
    assert whole.ids[10:].tolist() == [900, 800]
    assert whole.propensity[10:].tolist() == [1, 1]
    some = [
        compose.serve(ranking, 1, jointly=False, beta=2.0, share=0.5, seed=seed, rng=rng(seed), held=held)
        for seed in range(600)
    ]
    from_held = [served for served in some if served.ids[0] in held]
    assert all(served.explore[0] for served in from_held)
    # Half of the draws explore thirteen items alike.
    assert {float(served.propensity[0]) for served in from_held} == {0.5 / 13}
    assert len(from_held) / 600 == pytest.approx(0.5 * 3 / 13, abs=0.04)


def test_a_batch_chosen_jointly_is_never_loosened_but_explored():
    ranking = ranked(rng(0).random(50), 20)
    served = compose.serve(ranking, 20, jointly=True, beta=1.0, share=0.3, seed=1, rng=rng())
    assert served.ids[~served.explore].tolist() == [
        i for i in ranking.order if i in set(served.ids[~served.explore])
    ]
    explored = served.ids[served.explore].tolist()
    order = exploration_order(1, ranking.ids).tolist()
    assert explored == sorted(explored, key=order.index)
    assert len(explored) > 0


def test_a_dry_stream_leaves_its_places_to_the_other():
    ids = np.arange(6)
    only_ranked = serve_order(ids, np.ones(6), ids[:0], 0.5, 6, 6, rng())
    assert only_ranked.ids.tolist() == ids.tolist()
    assert only_ranked.propensity.tolist() == [1] * 6
    short = serve_order(ids[:2], np.ones(2), ids[::-1], 0.0, 6, 6, rng())
    assert short.ids.tolist() == [0, 1, 5, 4, 3, 2]
    np.testing.assert_allclose(short.propensity, [1, 1, 1 / 4, 1 / 3, 1 / 2, 1])
    assert short.explore.tolist() == [False, False, True, True, True, True]
    assert serve_order(ids[:0], np.ones(0), ids[:0], 0.5, 6, 6, rng()).ids.tolist() == []


def test_what_exploration_takes_raises_the_chances_of_the_others():
    """Three equal weights, one taken by exploration: the next ranked draw is one of two."""
    draw_q = np.array([1 / 3, 1 / 2, 1.0])
    served = serve_order(np.array([0, 1, 2]), draw_q, np.array([2, 1, 0]), 0.5, 2, 3, FixedDraws([0.1, 0.9]))
    assert served.ids.tolist() == [2, 0]
    np.testing.assert_allclose(served.propensity, [0.5 / 3 + 0.5 / 3, 0.5 / 2 + 0.5 / 2])


class FixedDraws:
    """A generator whose uniform numbers are given."""

    def __init__(self, values):
        self.values = np.array(values)

    def random(self, size):
        return self.values[:size]


def test_wrong_shares_and_lengths_are_refused():
    ids = np.arange(3)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(ParameterError, match="share"):
            serve_order(ids, np.ones(3), ids, share, 3, 3, rng())
    with pytest.raises(UtilityError, match="3 ranked ids and 2"):
        serve_order(ids, np.ones(2), ids, 0.1, 3, 3, rng())


def test_the_random_share_is_every_label_that_exploration_has_passed():
    ids = np.arange(50)
    order = compose.exploration_order(7, ids)
    labelled = np.concatenate([order[:3], order[[4, 9, 30]]])
    share = compose.random_share(7, labelled, order[[1, 4]])
    assert share.tolist() == [True, True, True, True, False, False]
    assert not compose.random_share(7, labelled, ids[:0]).any()
    assert len(compose.random_share(7, ids[:0], order[:1])) == 0


def test_the_mode_that_fits_takes_any_utility():
    assert compose.fitting_mode(np.array([0.0, 0.4, np.nan])) == "power"
    assert compose.fitting_mode(np.array([-0.1, 0.4])) == "softrank"
    pool = Pool(np.arange(6))
    ranking = rank_by_utility(pool, -np.arange(6.0), 6, rng())
    served = compose.serve(ranking, 6, jointly=False, mode=None, beta=2.0, seed=1, rng=rng())
    assert sorted(served.ids.tolist()) == list(range(6))
    with pytest.raises(UtilityError, match="softrank"):
        compose.serve(ranking, 6, jointly=False, beta=2.0, seed=1, rng=rng())


def test_what_exploration_finds_far_behind_has_the_weight_it_has_in_the_whole_ranking():
    """Without it, an unlikely item drawn by exploration would look as likely as any other behind the window."""
    utility = rng(0).random(3000)
    draw = stochastic_top_k(utility, 3000, beta=4.0, rng=rng(1))
    order = exploration_order(3, np.arange(3000))
    whole = serve_order(draw.positions, draw.q, order, 0.3, 60, 3000, rng(2))
    behind = np.setdiff1d(order[:60], draw.positions[:100])
    places = np.argsort(draw.positions)[behind]
    beyond = dict(zip(behind.tolist(), weights_beyond(draw.q, 0, places).tolist(), strict=True))
    told = serve_order(draw.positions[:100], draw.q[:100], order, 0.3, 60, 3000, rng(2), beyond)
    alike = serve_order(draw.positions[:100], draw.q[:100], order, 0.3, 60, 3000, rng(2))
    assert told.ids.tolist() == whole.ids.tolist() == alike.ids.tolist()
    np.testing.assert_allclose(told.propensity, whole.propensity, rtol=1e-6)
    assert not np.allclose(alike.propensity, whole.propensity, rtol=0.1)


def test_behind_a_certain_draw_nothing_weighs_anything():
    assert weights_beyond(np.array([0.5, 1.0, 0.5, 1.0]), 0, np.array([0, 1, 2, 3])).tolist() == [
        0.5,
        0.5,
        0,
        0,
    ]
    assert weights_beyond(np.array([0.5, 1.0, 0.5, 1.0]), 2, np.array([2, 3])).tolist() == [0.5, 0.5]
