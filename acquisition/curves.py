"""Numbers of learning curves: area, labels needed for a level, and paired differences between strategies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acquisition.errors import AcquisitionError

Numbers = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer]


class CurveError(AcquisitionError, ValueError):
    """Labels that do not increase, lengths that differ, or nothing to compare."""

    code = "invalid-curve"


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float
    high: float


def area_under_curve(labels: Numbers, accuracy: Numbers) -> float:
    """Mean accuracy over the label axis: trapezoids, divided by the labels spanned; one point is its own mean."""
    x, y = _curve(labels, accuracy)
    if len(x) == 1:
        return float(y[0])
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def labels_to(labels: Numbers, accuracy: Numbers, *, full: float, fraction: float) -> float | None:
    """Labels at which the curve first reaches `fraction` of the accuracy `full`, interpolated; None = it never does."""
    x, y = _curve(labels, accuracy)
    target = full * fraction
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return None
    first = int(reached[0])
    if first == 0:
        return float(x[0])
    rise = (target - y[first - 1]) / (y[first] - y[first - 1])
    return float(x[first - 1] + rise * (x[first] - x[first - 1]))


def bootstrap_interval(
    values: Numbers, *, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Mean of one value a seed, with its percentile bootstrap interval. Few seeds make it too narrow: five is few."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise CurveError("An interval needs at least one value.")
    means = array[rng.integers(0, len(array), (resamples, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def paired_difference(
    ours: Numbers, theirs: Numbers, *, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Mean of ours - theirs over seeds, the i-th of both from the same seed, with its paired bootstrap interval."""
    if len(ours) != len(theirs):
        raise CurveError(f"Paired values must be equally many, not {len(ours)} and {len(theirs)}.")
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return bootstrap_interval(difference, rng=rng, level=level, resamples=resamples)


def _curve(labels: Numbers, accuracy: Numbers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise CurveError(f"A curve needs equally many labels and accuracies, not {x.shape} and {y.shape}.")
    if not bool(np.all(np.diff(x) > 0)):
        raise CurveError("Labels of a curve must increase.")
    return x, y
