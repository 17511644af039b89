"""How much people agree beyond chance: Krippendorff's alpha for nominal data, with a bootstrap interval over items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RESAMPLES = 2_000
DRAWN = 10**7  # numbers that are drawn at once: a hundred megabytes or so


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the number of things it rests on; None where nothing can be said."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        def short(number: float | None) -> float | None:
            return None if number is None else round(number, 6)

        return {"value": short(self.value), "low": short(self.low), "high": short(self.high), "n": self.n}


def krippendorff(
    counts: Counts, *, rng: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> Estimate:
    """Alpha of votes for each class by item (n, C); items with fewer than two votes do not count.

    1 - observed / expected disagreement; K. Krippendorff, Content Analysis (2004), chapter 11. 1 is full agreement, 0 what
    chance gives, below 0 less than that. None where everybody always chose the same class: chance explains all of it. With
    `rng` the interval is the percentile bootstrap over items.
    """
    units = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    if not len(units):
        return Estimate(None, None, None, 0)
    # Equal items are drawn together: the bootstrap costs by the kinds of items, which are few.
    kinds, times = np.unique(units, axis=0, return_counts=True)
    observed, totals = _terms(kinds)
    value = _alpha(times[None, :].astype(np.float64), observed, totals)[0]
    if np.isnan(value):
        return Estimate(None, None, None, len(units))
    if rng is None:
        return Estimate(float(value), None, None, len(units))
    alphas = _resampled(lambda weights: _alpha(weights, observed, totals), times, rng, resamples)
    low, high = np.quantile(alphas, [0.025, 0.975]) if len(alphas) else (value, value)
    return Estimate(float(value), float(low), float(high), len(units))


def krippendorff_multi(
    chosen: Counts, total: Counts, *, rng: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> Estimate:
    """Mean alpha over classes of 'this class or not', of `chosen` (n, C) of `total` (n,) voters; items are drawn whole."""
    enough = total >= 2
    table = np.column_stack([chosen[enough], total[enough]])
    if not len(table):
        return Estimate(None, None, None, 0)
    kinds, times = np.unique(table, axis=0, return_counts=True)
    terms = [
        _terms(np.column_stack([kinds[:, c], kinds[:, -1] - kinds[:, c]])) for c in range(chosen.shape[1])
    ]

    def mean(weights: Floats) -> Floats:
        each = np.array([_alpha(weights, *term) for term in terms])
        known = ~np.isnan(each)
        total_ = np.where(known, each, 0.0).sum(axis=0)
        return np.where(known.any(axis=0), total_ / np.maximum(known.sum(axis=0), 1), np.nan)

    value = mean(times[None, :].astype(np.float64))[0]
    if np.isnan(value):
        return Estimate(None, None, None, int(enough.sum()))
    if rng is None:
        return Estimate(float(value), None, None, int(enough.sum()))
    n = int(enough.sum())
    means = _resampled(mean, times, rng, resamples)
    low, high = np.quantile(means, [0.025, 0.975]) if len(means) else (value, value)
    return Estimate(float(value), float(low), float(high), n)


def _resampled(
    figure: Callable[[Floats], Floats],
    times: npt.NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int,
) -> Floats:
    """`figure` of so many draws of the kinds (k,), without those in which it is not known; few at a time where kinds are many."""
    n, most = int(times.sum()), max(1, DRAWN // len(times))
    found = []
    for start in range(0, resamples, most):
        drawn = rng.multinomial(n, times / n, size=min(most, resamples - start))
        found.append(figure(drawn.astype(np.float64)))
    figures = np.concatenate(found) if found else np.zeros(0)
    return figures[~np.isnan(figures)]


def _terms(kinds: npt.NDArray[np.floating | np.integer]) -> tuple[Floats, Floats]:
    """Disagreeing pairs of each kind of item per its voters less one (k,), and its votes by class (k, C)."""
    table = kinds.astype(np.float64)
    voters = table.sum(axis=1)
    pairs = voters**2 - (table**2).sum(axis=1)
    return pairs / (voters - 1), table


def _alpha(weights: Floats, observed: Floats, totals: Floats) -> Floats:
    """Alpha (r,) for r weightings (r, k) of the kinds; NaN where no disagreement could be expected."""
    by_class = weights @ totals
    n = by_class.sum(axis=1)
    expected = n**2 - (by_class**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = 1 - (n - 1) * (weights @ observed) / expected
    return np.where(expected > 0, alpha, np.nan)
