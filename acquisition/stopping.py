"""When more labels stop paying: a plateau, predictions that settle, and a forecast. Evidence for people, never an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from acquisition.curves import Interval, Numbers
from acquisition.errors import AcquisitionError

Doubles = npt.NDArray[np.float64]

LEAST_POINTS = 4
LEAST_FIT = 0.5  # of the variance of log errors that the law must explain
STEEPEST = 2.0
FLOOR = 1e-4  # an error of zero has no logarithm


class ForecastError(AcquisitionError, ValueError):
    """Too few points, or a curve that follows no power law."""

    code = "no_forecast"


@dataclass(frozen=True)
class PowerLaw:
    """error(m) = alpha m^-beta + gamma; `fit`: share of the variance of log errors that it explains."""

    alpha: float
    beta: float
    gamma: float
    fit: float

    def error(self, labels: float) -> float:
        return float(self.alpha * labels**-self.beta + self.gamma)

    def labels(self, error: float) -> float | None:
        """Labels at which the error is reached; None where it never is."""
        if error <= self.gamma or self.beta <= 0 or self.alpha <= 0:
            return None
        return float((self.alpha / (error - self.gamma)) ** (1 / self.beta))


@dataclass(frozen=True, eq=False)
class Forecast:
    """The law of a curve, and those of its bootstrap resamples, from which every interval comes."""

    law: PowerLaw
    resamples: tuple[PowerLaw, ...]
    labels: float

    def error(self, labels: float, *, level: float = 0.8) -> Interval:
        """The error expected at so many labels."""
        return _interval(self.law.error(labels), [each.error(labels) for each in self.resamples], level)

    def gain(self, more: float, *, level: float = 0.8) -> Interval:
        """How much the error falls with so many labels more than now."""
        now, then = self.labels, self.labels + more
        drawn = [each.error(now) - each.error(then) for each in self.resamples]
        return _interval(self.law.error(now) - self.law.error(then), drawn, level)

    def labels_to(self, error: float, *, level: float = 0.8) -> Interval | None:
        """Labels in all until the error; None where the law, or more than a tenth of its resamples, never gets there."""
        needed = self.law.labels(error)
        drawn = [each.labels(error) for each in self.resamples]
        known = [value for value in drawn if value is not None]
        if needed is None or len(known) < 0.9 * len(drawn):
            return None
        return _interval(needed, known, level)


@dataclass(frozen=True)
class Plateau:
    """Whether the curve has been flat for `window` points; `rise` since the best before them, `since` how many labels."""

    flat: bool
    rise: float
    since: float


def fit_power_law(
    labels: Numbers, errors: Numbers, weights: Numbers | None = None, *, near: PowerLaw | None = None
) -> PowerLaw:
    """Least squares of log errors, weighted, with alpha, beta, gamma >= 0. ForecastError for fewer than four points.

    Source of the form: Hestness et al. 2017, 'Deep learning scaling is predictable'. Active-learning curves are no
    independent samples: fit one for each strategy. `near`: where to begin, if the answer is known to be about that.
    """
    x, y = np.asarray(labels, dtype=np.float64), np.maximum(np.asarray(errors, dtype=np.float64), FLOOR)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < LEAST_POINTS:
        raise ForecastError(f"A forecast needs errors at {LEAST_POINTS} numbers of labels or more.")
    if not bool((x > 0).all()):
        raise ForecastError("Labels must be above zero.")
    root = np.ones(len(x)) if weights is None else np.sqrt(np.asarray(weights, dtype=np.float64))
    root = root / root.mean()
    log_x, log_y = np.log(x / x[-1]), np.log(y)
    least = float(y.min())

    def residuals(point: Doubles) -> Doubles:
        log_alpha, beta, gamma = point
        return np.asarray(root * (np.log(np.exp(log_alpha - beta * log_x) + gamma) - log_y))

    starts = []
    if near is not None:
        starts.append([float(np.log(near.alpha) - near.beta * np.log(x[-1])), near.beta, near.gamma])
    else:
        for share in (0.05, 0.5, 0.9):
            slope, offset = np.polyfit(log_x, np.log(np.maximum(y - share * least, FLOOR / 10)), 1, w=root)
            starts.append([offset, -slope, share * least])
    best = None
    for log_alpha, beta, gamma in starts:
        start = [log_alpha, float(np.clip(beta, 0.01, STEEPEST - 0.01)), min(gamma, float(y.max()) * 0.99)]
        found = least_squares(
            residuals, start, bounds=([-np.inf, 0.0, 0.0], [np.inf, STEEPEST, float(y.max())]), xtol=1e-8
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    log_alpha, beta, gamma = best.x
    around = root * (log_y - np.average(log_y, weights=root**2))
    total = float((around**2).sum())
    explained = 1 - 2 * float(best.cost) / total if total > 1e-12 else 0.0
    # The fit counted labels in units of the last point's: alpha takes them back to one label.
    return PowerLaw(float(np.exp(log_alpha + beta * np.log(x[-1]))), float(beta), float(gamma), explained)


def forecast(
    labels: Numbers,
    errors: Numbers,
    *,
    rng: np.random.Generator,
    judged: Numbers | None = None,
    runs: npt.NDArray[np.floating] | None = None,
    resamples: int = 200,
) -> Forecast:
    """The power law of a curve with its uncertainty; ForecastError where the points follow none.

    Resampled are, where given, the `runs` (s, k) whose mean the errors are; else the items on which each error was
    measured: `judged` (k,) says how many they were (errors are then drawn anew from their binomial law).
    """
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    weights = None if judged is None else np.asarray(judged, dtype=np.float64)
    law = fit_power_law(x, y, weights)
    if law.fit < LEAST_FIT:
        raise ForecastError(
            "The curve does not fall like a power law (yet), so that a forecast would be a guess."
        )
    laws = []
    for _ in range(resamples):
        if runs is not None:
            drawn = runs[rng.integers(0, len(runs), len(runs))].mean(axis=0)
        elif weights is not None:
            drawn = rng.binomial(weights.astype(np.int64), np.clip(y, 0, 1)) / weights
        else:
            residual = np.log(np.maximum(y, FLOOR)) - np.log([law.error(value) for value in x])
            drawn = np.exp(np.log([law.error(value) for value in x]) + rng.choice(residual, len(x)))
        laws.append(fit_power_law(x, drawn, weights, near=law))
    return Forecast(law, tuple(laws), float(x[-1]))


def plateau(labels: Numbers, scores: Numbers, *, tolerance: float = 0.005, window: int = 3) -> Plateau | None:
    """Whether none of the last `window` scores beats the best before them by more than `tolerance`; None = too short."""
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(y) < window + 1:
        return None
    before = int(y[:-window].argmax())
    rise = float(y[-window:].max() - y[before])
    return Plateau(rise <= tolerance, rise, float(x[-1] - x[-window - 1]))


def settled(agreements: Sequence[float], *, threshold: float = 0.99, window: int = 3) -> bool | None:
    """Whether successive models agree on the pool: the mean of the last `window` kappas reaches the threshold.

    None = too few. Source: Bloodgood and Vijay-Shanker 2009, 'A method for stopping active learning based on stabilizing
    predictions'.
    """
    if len(agreements) < window:
        return None
    return float(np.mean(list(agreements)[-window:])) >= threshold


def kappa(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> float:
    """Cohen's kappa of two models' classes (n,): agreement beyond what their class shares give by chance."""
    if len(first) != len(second) or not len(first):
        raise AcquisitionError("Agreement needs equally many predictions, and at least one.")
    classes = int(max(first.max(), second.max())) + 1
    one, two = (np.bincount(each, minlength=classes) / len(each) for each in (first, second))
    chance, agree = float(one @ two), float((first == second).mean())
    return 1.0 if chance >= 1 else (agree - chance) / (1 - chance)


def _interval(estimate: float, drawn: Sequence[float], level: float) -> Interval:
    low, high = (
        np.quantile(np.asarray(drawn), [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (estimate,) * 2
    )
    return Interval(estimate, float(min(low, estimate)), float(max(high, estimate)))
