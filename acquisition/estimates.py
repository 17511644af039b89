"""What labels say about the whole pool although a strategy chose them: importance weighting by logged propensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from acquisition.errors import AcquisitionError

Doubles = npt.NDArray[np.float64]

MANY = 2_000  # terms whose mean is as good as normal
FEW = 10.0  # effective labels with, or without, what is counted: fewer say little by being drawn again


class EstimateError(AcquisitionError, ValueError):
    """Propensities outside (0, 1], lengths that differ, or more labels than there are items."""

    code = "invalid_estimate"


@dataclass(frozen=True)
class Estimate:
    """A share of the pool with its interval; `effective`: as many uniform draws would say as much."""

    value: float
    low: float
    high: float
    n: int
    effective: float


def sampling_weights(propensity: npt.NDArray[np.floating], size: int) -> Doubles:
    """Weights (m,), of mean one in expectation, that make labels drawn without replacement speak for `size` items.

    propensity (m,), in the order of drawing: the chance with which each label was drawn from what was left then. The mean
    of weight times value is then an unbiased estimate of the pool's mean, whatever the strategy preferred, as long as
    every item left had a chance. All items drawn: all weights one. Source: Farquhar, Gal and Rainforth 2021, 'On
    statistical bias in active learning' (there R_LURE).
    """
    q = np.asarray(propensity, dtype=np.float64)
    drawn = len(q)
    if q.ndim != 1 or not bool(((q > 0) & (q <= 1)).all()):
        raise EstimateError("Propensities must lie above 0 and up to 1.")
    if drawn > size:
        raise EstimateError(f"{drawn} labels cannot come from {size} items.")
    if drawn == size:
        return np.ones(drawn)
    left = size - np.arange(drawn, dtype=np.float64)  # items left when each was drawn, itself included
    return np.asarray(1 + (size - drawn) / (left - 1) * (1 / (left * q) - 1), dtype=np.float64)


def weighted_mean(
    values: npt.NDArray[np.generic],
    propensity: npt.NDArray[np.floating],
    size: int,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Estimate:
    """The pool's mean of values (m,), each between 0 and 1, from labels in the order of drawing.

    The estimate is unbiased and cut to 0..1 after that; the percentile interval resamples the weighted values, as if they
    were independent. A few rare draws with large weights make it wide: `effective` says what is left of n. Where what is
    counted was hardly seen, or hardly anything else was, resampling knows of no other world: there the interval reaches
    at least as far as Wilson's for as many uniform draws as `effective` says (Wilson 1927; Kish 1965 for the number).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(propensity),) or not len(numbers):
        raise EstimateError("Values and propensities must be equally many, and at least one.")
    weights = sampling_weights(propensity, size)
    terms = weights * numbers
    means = _resampled_means(terms, resamples, rng)
    low, high = np.clip(np.quantile(means, [(1 - level) / 2, (1 + level) / 2]), 0.0, 1.0)
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    value = float(np.clip(terms.mean(), 0.0, 1.0))
    seen = min(float(numbers.sum()), effective * value)
    others = min(float((1 - numbers).sum()), effective * (1 - value))
    if len(numbers) < size and min(seen, others) < FEW:
        least, most = _wilson(value, effective, level)
        low, high = min(low, least), max(high, most)
    return Estimate(value, float(low), float(high), len(numbers), effective)


def _wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share seen in n draws, which need be no whole number; of none: anything."""
    if n <= 0:
        return 0.0, 1.0
    z = float(ndtri((1 + level) / 2))
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    whole = 1 + z**2 / n
    return max(0.0, float(middle - half) / whole), min(1.0, float(middle + half) / whole)


def _resampled_means(terms: Doubles, resamples: int, rng: np.random.Generator) -> Doubles:
    if len(terms) > MANY:
        return rng.normal(terms.mean(), terms.std() / np.sqrt(len(terms)), resamples)
    return np.array([terms[rng.integers(0, len(terms), len(terms))].mean() for _ in range(resamples)])
