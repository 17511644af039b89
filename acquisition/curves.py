"""Numbers of learning curves: area, bands, labels needed for a level, labels saved, differences between strategies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from acquisition.errors import AcquisitionError

Numbers = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer]
Doubles = npt.NDArray[np.float64]


class CurveError(AcquisitionError, ValueError):
    """Labels that do not increase, lengths that differ, or nothing to compare."""

    code = "invalid_curve"


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


def mean_interval(values: Numbers, *, level: float = 0.95) -> Interval:
    """Mean of one value a seed with Student's interval, which few seeds do not make too narrow; one value: no width."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise CurveError("An interval needs at least one value.")
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, mean, mean)
    half = float(stdtrit(len(array) - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(len(array)))
    return Interval(mean, mean - half, mean + half)


def rising(scores: npt.NDArray[np.floating]) -> Doubles:
    """The nearest curve (..., k) that never falls, in least squares (isotonic regression): max over i of min over j of
    the mean from i to j. Noise alone would let a curve touch any level too early."""
    values = np.asarray(scores, dtype=np.float64)
    k = values.shape[-1]
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)
    first, last = np.arange(k)[:, None], np.arange(k)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (sums[..., None, 1:] - sums[..., :k, None]) / (last - first + 1)
    means = np.where(last >= first, means, np.inf)
    # Least mean of a block from i that reaches at least to t, then the best i up to t.
    least = np.flip(np.minimum.accumulate(np.flip(means, axis=-1), axis=-1), axis=-1)
    least = np.where(last >= first, least, -np.inf)
    return np.asarray(least.max(axis=-2), dtype=np.float64)


def saved_at_common_level(
    our_labels: Numbers,
    ours: npt.NDArray[np.floating],
    their_labels: Numbers,
    theirs: npt.NDArray[np.floating],
) -> Doubles:
    """Labels (...,) that `theirs` (..., k') needs more than `ours` (..., k) for the highest accuracy both reach.

    Curves are made to rise first. Negative: ours needs more. Nothing is extrapolated.
    """
    up, down = rising(ours), rising(theirs)
    level = np.minimum(up[..., -1], down[..., -1])
    x, z = np.asarray(our_labels, dtype=np.float64), np.asarray(their_labels, dtype=np.float64)
    return _reach(z, down, level) - _reach(x, up, level)


def labels_saved(
    labels: Numbers,
    ours: npt.NDArray[np.floating],
    theirs: npt.NDArray[np.floating],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Interval:
    """Labels saved by the mean curve of ours (s, k) over that of theirs (s', k), seeds resampled for the interval."""
    if ours.shape[-1] != len(labels) or theirs.shape[-1] != len(labels) or not len(ours) or not len(theirs):
        raise CurveError(f"{len(labels)} labels do not fit curves of {ours.shape} and {theirs.shape}.")
    draws = [
        curves[rng.integers(0, len(curves), (resamples, len(curves)))].mean(axis=1)
        for curves in (ours, theirs)
    ]
    saved = saved_at_common_level(labels, draws[0], labels, draws[1])
    estimate = saved_at_common_level(labels, ours.mean(axis=0), labels, theirs.mean(axis=0))
    low, high = np.quantile(saved, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))


def _reach(labels: Doubles, curves: Doubles, level: Doubles) -> Doubles:
    """Labels (...,) at which each of the rising curves (..., k) first reaches its level (...,), interpolated."""
    reached = curves >= level[..., None] - 1e-12
    place = reached.argmax(axis=-1)
    before = np.maximum(place - 1, 0)
    y1 = np.take_along_axis(curves, place[..., None], axis=-1)[..., 0]
    y0 = np.take_along_axis(curves, before[..., None], axis=-1)[..., 0]
    rise = np.where(y1 > y0, (level - y0) / np.where(y1 > y0, y1 - y0, 1.0), 1.0)
    found = labels[before] + np.clip(rise, 0.0, 1.0) * (labels[place] - labels[before])
    return np.asarray(np.where(reached.any(axis=-1), found, labels[-1]), dtype=np.float64)


def _curve(labels: Numbers, accuracy: Numbers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise CurveError(f"A curve needs equally many labels and accuracies, not {x.shape} and {y.shape}.")
    if not bool(np.all(np.diff(x) > 0)):
        raise CurveError("Labels of a curve must increase.")
    return x, y
