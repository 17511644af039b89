import numpy as np
import pytest

from acquisition.compose import serve
from acquisition.estimates import EstimateError, sampling_weights, weighted_mean
from acquisition.pool import Pool
from acquisition.ranking import rank_by_utility

SIZE, ROUNDS, BATCH = 150, 3, 12


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def population():
    """Items whose model is uncertain about them are often wrong: what a strategy prefers is not typical."""
    source = rng(5)
    uncertainty = source.beta(1, 3, SIZE)
    return {
        "uncertainty": uncertainty,
        "right": source.random(SIZE) > 0.9 * uncertainty,
        "share": uncertainty > 0.4,  # the items of a class that the strategy is drawn to
    }


def label(population, seed, *, share=0.3, beta=1.0):
    """Rounds of serving as the product does it: ids in the order of labelling, with their logged propensities."""
    source = rng(seed)
    left = np.arange(SIZE)
    ids, propensity = [], []
    for _ in range(ROUNDS):
        pool = Pool(left)
        ranking = rank_by_utility(pool, population["uncertainty"][left], len(left), source)
        # Of the whole order people label the beginning before the next round.
        served = serve(ranking, len(left), jointly=False, beta=beta, share=share, seed=seed, rng=source)
        ids.append(served.ids[:BATCH])
        propensity.append(served.propensity[:BATCH])
        left = np.setdiff1d(left, ids[-1])
    return np.concatenate(ids), np.concatenate(propensity)


def errors_of(population, what, repetitions=250):
    """Means over simulations, with their standard errors, of the naive and the weighted estimate's error."""
    truth = population[what].mean()
    naive, weighted = [], []
    for seed in range(repetitions):
        ids, propensity = label(population, seed)
        values = population[what][ids].astype(float)
        naive.append(values.mean() - truth)
        weighted.append((sampling_weights(propensity, SIZE) * values).mean() - truth)
    return [(np.mean(errors), np.std(errors) / np.sqrt(repetitions)) for errors in (naive, weighted)]


@pytest.mark.parametrize("what", ["right", "share"])
def test_labels_chosen_by_a_strategy_mislead_and_their_weights_make_up_for_it(population, what):
    (naive, naive_error), (weighted, weighted_error) = errors_of(population, what)
    assert abs(naive) > 0.05
    assert abs(naive) > 10 * naive_error
    assert abs(weighted) < 3 * weighted_error
    assert abs(weighted) < abs(naive) / 4


def test_weights_are_one_on_average(population):
    weights = [sampling_weights(label(population, seed)[1], SIZE).mean() for seed in range(200)]
    assert np.mean(weights) == pytest.approx(1, abs=3 * np.std(weights) / np.sqrt(200))


def test_uniform_draws_weigh_the_same():
    left = SIZE - np.arange(40)
    assert sampling_weights(1 / left, SIZE) == pytest.approx(np.ones(40))


def test_when_everything_is_labelled_nothing_is_weighted():
    assert sampling_weights(np.array([0.9, 0.5, 1.0]), 3).tolist() == [1, 1, 1]


def test_two_draws_of_three_by_hand():
    """v1 = 1 + (3-2)/(3-1) (1/(3 .5) - 1), v2 = 1 + (3-2)/(3-2) (1/(2 .25) - 1)."""
    assert sampling_weights(np.array([0.5, 0.25]), 3) == pytest.approx([1 + 0.5 * (2 / 3 - 1), 2.0])


def test_intervals_cover_the_truth_about_as_often_as_they_say(population):
    truth, hits = population["share"].mean(), 0
    for seed in range(100):
        ids, propensity = label(population, seed, share=0.5)
        found = weighted_mean(population["share"][ids], propensity, SIZE)
        assert found.low <= found.value <= found.high
        hits += found.low <= truth <= found.high
    assert hits >= 80


def uneven_draws(size=400, drawn=38, seed=0):
    """Propensities of a queue that nearly always takes its first and sometimes draws at random."""
    left = size - np.arange(drawn)
    return np.where(rng(seed).random(drawn) < 0.4, 0.1 / left, 0.9 + 0.1 / left)


def test_what_was_hardly_seen_has_an_interval_all_the_same():
    propensity = uneven_draws()
    values = np.zeros(38)
    values[np.argmax(propensity)] = 1  # once, where the weight is nearly nothing
    for found in (weighted_mean(each, propensity, 400) for each in (values, np.zeros(38))):
        assert found.effective < 30
        assert found.value == pytest.approx(0, abs=1e-2)
        assert found.low == pytest.approx(0, abs=1e-2)
        # Nought of as many uniform draws says as much: z^2 / (n + z^2).
        assert found.high >= 3.84 / (found.effective + 3.84) - 1e-3


def test_what_was_seen_only_is_not_all_there_is():
    found = weighted_mean(np.ones(38), 1 / (400 - np.arange(38)), 400)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(38 / (38 + 3.84), abs=1e-3)


def test_two_draws_of_three_with_their_interval_by_hand():
    """Weights 5/6 and 2, of which the second is right: 2 / (17/6) = 12/17. Effective (17/6)^2 / (25/36 + 4) = 289/169; the
    variance (25/36 (12/17)^2 + 4 (5/17)^2) / (17/6)^2 = 0.0862 would be that of 2.4 draws, so that the fewer count."""
    found = weighted_mean(np.array([0.0, 1.0]), np.array([0.5, 0.25]), 3)
    share, n, z = 12 / 17, 289 / 169, 1.959964
    assert (found.value, found.effective) == (pytest.approx(share), pytest.approx(n))
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert found.low == pytest.approx((middle - half) / (1 + z**2 / n), abs=1e-5)
    assert found.high == pytest.approx((middle + half) / (1 + z**2 / n), abs=1e-5)


def test_with_uniform_draws_it_is_wilson_s_interval():
    """20 of 25: 0.8, and 0.6087 to 0.9114."""
    found = weighted_mean(np.repeat([1.0, 0.0], [20, 5]), 1 / (400 - np.arange(25)), 400)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.6087, 0.9114), abs=1e-4)


def test_errors_that_were_seen_are_not_lost_in_heavy_weights():
    """The first label is wrong and the others, drawn by chance, weigh more than the pool has items."""
    propensity = np.concatenate([1 / (400 - np.arange(10)), np.full(20, 0.0015)])
    values = np.concatenate([[0.0], np.ones(29)])
    assert (sampling_weights(propensity, 400) * values).mean() > 1
    found = weighted_mean(values, propensity, 400)
    assert 0.9 < found.value < found.high < 1


def test_all_right_says_as_much_as_the_labels_that_count():
    """The upper end is 1, since nothing wrong was seen; the lower is that of so many uniform draws: n / (n + z^2)."""
    found = weighted_mean(np.ones(38), uneven_draws(), 400)
    assert (found.value, found.high) == pytest.approx((1.0, 1.0))
    assert found.low == pytest.approx(found.effective / (found.effective + 1.959964**2), abs=1e-6)
    assert found.low < 38 / (38 + 3.85)


def test_the_interval_of_a_rare_class_covers_its_share():
    size, drawn, hits = 400, 38, 0
    has = np.zeros(size)
    has[:12] = 1
    for seed in range(100):
        order = rng(seed).permutation(size)[:drawn]
        found = weighted_mean(has[order], 1 / (size - np.arange(drawn)), size)
        hits += found.low <= has.mean() <= found.high
    assert hits >= 92


def test_with_everything_labelled_a_class_that_is_not_there_is_not_there():
    found = weighted_mean(np.zeros(12), np.full(12, 0.5), 12)
    assert (found.low, found.high) == (0.0, 0.0)


def test_uneven_weights_leave_less_than_there_are_labels(population):
    ids, propensity = label(population, 1, share=0.1)
    uneven = weighted_mean(population["right"][ids], propensity, SIZE)
    left = SIZE - np.arange(len(ids))
    even = weighted_mean(population["right"][ids], 1 / left, SIZE)
    assert uneven.n == even.n == ROUNDS * BATCH
    assert uneven.effective < 0.8 * even.effective
    assert even.effective == pytest.approx(even.n)


@pytest.mark.parametrize(
    ("values", "propensity", "size"),
    [([1.0], [0.0], 5), ([1.0], [1.5], 5), ([1.0, 0.0], [0.5, 0.5], 1), ([1.0], [0.5, 0.5], 9), ([], [], 5)],
)
def test_what_cannot_be_weighted_is_refused(values, propensity, size):
    with pytest.raises(EstimateError):
        weighted_mean(np.array(values), np.array(propensity), size)
