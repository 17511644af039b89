import numpy as np
import pytest

from acquisition.errors import AcquisitionError
from acquisition.stopping import (
    ForecastError,
    PowerLaw,
    fit_power_law,
    forecast,
    kappa,
    plateau,
    settled,
)

LABELS = np.geomspace(20, 20_000, 24)


def rng(seed=0):
    return np.random.default_rng(seed)


def curve(beta, gamma, *, alpha=1.5, noise=0.0, seed=0, labels=LABELS):
    errors = alpha * labels**-beta + gamma
    return errors * np.exp(noise * rng(seed).normal(size=len(labels)))


@pytest.mark.parametrize(("beta", "gamma"), [(0.2, 0.0), (0.35, 0.05), (0.5, 0.02)])
def test_the_exponent_is_recovered_from_a_clean_curve(beta, gamma):
    law = fit_power_law(LABELS, curve(beta, gamma))
    assert law.beta == pytest.approx(beta, abs=0.002)
    assert law.gamma == pytest.approx(gamma, abs=0.002)
    assert law.fit > 0.999


def test_two_percent_of_noise_move_the_exponent_by_less_than_two_hundredths():
    found = [fit_power_law(LABELS, curve(0.3, 0.0, noise=0.02, seed=seed)).beta for seed in range(20)]
    assert np.median(found) == pytest.approx(0.3, abs=0.02)


def test_the_last_point_lies_inside_the_interval_of_a_forecast_without_it():
    hits = 0
    for seed in range(16):
        errors = curve(0.4, 0.03, noise=0.03, seed=seed)
        told = forecast(LABELS[:-4], errors[:-4], rng=rng(seed), resamples=30)
        interval = told.error(LABELS[-1], level=0.8)
        # The noise of the point itself is 3 %.
        hits += interval.low * 0.95 <= errors[-1] <= interval.high * 1.05
    assert hits >= 11


def test_a_forecast_says_what_more_labels_bring_and_how_many_a_level_takes():
    labels = np.array([100.0, 200, 400, 800, 1600])
    told = forecast(labels, curve(0.5, 0.0, labels=labels), rng=rng(), judged=[2000] * 5, resamples=80)
    gain = told.gain(100)
    assert gain.low <= gain.estimate <= gain.high
    assert gain.estimate == pytest.approx(1.5 * (1600**-0.5 - 1700**-0.5), rel=0.1)
    needed = told.labels_to(0.03)
    assert needed.estimate == pytest.approx(2500, rel=0.15)
    assert needed.low < needed.estimate < needed.high


def test_a_level_below_the_floor_is_never_promised():
    told = forecast(LABELS, curve(0.5, 0.1, noise=0.01), rng=rng(), resamples=40)
    assert told.labels_to(0.09) is None
    assert PowerLaw(1.0, 0.5, 0.1, 1.0).labels(0.1) is None


def test_seeds_are_resampled_where_they_are_given():
    runs = np.stack([curve(0.4, 0.02, noise=0.05, seed=seed) for seed in range(5)])
    mean = runs.mean(axis=0)
    told = forecast(LABELS, mean, rng=rng(), runs=runs, resamples=40).error(50_000)
    same = forecast(LABELS, mean, rng=rng(), runs=mean[None].repeat(5, axis=0), resamples=5).error(50_000)
    assert told.low < told.estimate < told.high
    assert same.high - same.low < 1e-6


@pytest.mark.parametrize("errors", [[0.3, 0.2, 0.1], [0.2, 0.5, 0.1, 0.6, 0.2, 0.5]])
def test_what_follows_no_law_is_not_forecast(errors):
    with pytest.raises(ForecastError):
        forecast(np.arange(1, len(errors) + 1) * 10.0, errors, rng=rng(), resamples=5)


def test_labels_of_zero_have_no_law():
    with pytest.raises(ForecastError, match="above zero"):
        fit_power_law([0, 1, 2, 3], [0.4, 0.3, 0.2, 0.1])


def test_a_curve_without_errors_is_flat_and_not_forecast():
    with pytest.raises(ForecastError):
        forecast([10, 20, 30, 40, 50], [0.0] * 5, rng=rng(), resamples=5)


def test_a_plateau_is_three_models_without_a_rise():
    flat = plateau([20, 40, 60, 80, 100], [0.6, 0.8, 0.801, 0.803, 0.799])
    assert flat.flat
    assert flat.rise == pytest.approx(0.003)
    assert flat.since == 60
    rising = plateau([20, 40, 60, 80, 100], [0.6, 0.8, 0.79, 0.82, 0.8])
    assert not rising.flat
    assert plateau([20, 40, 60], [0.5, 0.6, 0.7]) is None


def test_predictions_have_settled_when_three_agreements_are_high_on_average():
    assert settled([0.5, 0.99, 0.995, 0.99]) is True
    assert settled([0.99, 0.99, 0.9]) is False
    assert settled([0.99, 0.99]) is None


def test_kappa_takes_chance_away():
    first = np.array([0] * 90 + [1] * 10)
    assert kappa(first, first) == 1
    assert kappa(first, np.zeros(100, dtype=int)) == pytest.approx(0)
    second = np.array([0] * 80 + [1] * 20)
    # Agreement .9, by chance .9 * .8 + .1 * .2.
    assert kappa(first, second) == pytest.approx((0.9 - 0.74) / (1 - 0.74))
    assert kappa(np.zeros(5, dtype=int), np.zeros(5, dtype=int)) == 1
    with pytest.raises(AcquisitionError):
        kappa(first, second[:3])
