"""What labels say about the whole pool although a strategy chose them: importance weighting by logged propensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from acquisition.errors import AcquisitionError

Doubles = npt.NDArray[np.float64]


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
    level: float = 0.95,
) -> Estimate:
    """The pool's mean of values (m,), each between 0 and 1, from labels in the order of drawing.

    Weights are divided by their own sum (Hajek 1971): nearly unbiased, never outside 0..1, and 1 only where every value
    seen is 1; a sum that happens to be large does not pass for a high share. The interval is Wilson's (1927) for as many
    uniform draws as say as much: by the weights alone (Kish 1965) or by the variance of this estimate (Korn and Graubard
    1998), whichever is fewer, so that it neither vanishes where all values are alike nor leaves 0..1. `effective`: by
    the weights. Everything labelled: the mean, and nothing is left open.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(propensity),) or not len(numbers):
        raise EstimateError("Values and propensities must be equally many, and at least one.")
    weights = sampling_weights(propensity, size)
    total, squares = float(weights.sum()), weights**2
    if total <= 0:
        return Estimate(float(numbers.mean()), 0.0, 1.0, len(numbers), 0.0)
    value = float(np.clip(weights @ numbers / total, 0.0, 1.0))
    effective = total**2 / float(squares.sum())
    if len(numbers) == size:
        return Estimate(value, value, value, len(numbers), effective)
    variance = float(squares @ (numbers - value) ** 2) / total**2
    draws = min(effective, value * (1 - value) / variance) if variance > 0 else effective
    low, high = _wilson(value, draws, level)
    return Estimate(value, min(low, value), max(high, value), len(numbers), effective)


def _wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share seen in n draws, which need be no whole number; of none: anything."""
    if n <= 0:
        return 0.0, 1.0
    z = float(ndtri((1 + level) / 2))
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    whole = 1 + z**2 / n
    return max(0.0, float(middle - half) / whole), min(1.0, float(middle + half) / whole)
