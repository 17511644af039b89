"""How good a model is, with intervals. numpy only; arrays in, plain numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1_000
_AT_ONCE = 100
BINS = 15


@dataclass(frozen=True)
class Estimate:
    """A measured share and its 95 % interval; None where there was nothing to measure."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassMeasures:
    """One class: items that have it, items predicted to, and how well the two agree."""

    key: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Evaluation:
    """Measures on `n` items. `accuracy` is subset accuracy for multi-label, where `micro_f1` is given as well."""

    n: int
    accuracy: Estimate
    macro_f1: Estimate
    micro_f1: float | None
    calibration_error: float | None
    classes: tuple[ClassMeasures, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers."""
        return asdict(self)


NOTHING = Estimate(None, None, None)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Return a share with its Wilson score interval (Wilson 1927): sensible for small n and shares near 0 and 1."""
    if n == 0:
        return NOTHING
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


def f1_scores(hits: NDArray[Any], support: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Return 2 hits / (support + predicted), element by element; NaN for a class neither there nor predicted."""
    total = np.asarray(support + predicted, dtype=np.float64)
    scores: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(2.0 * hits, total, out=scores, where=total > 0)
    return scores


def calibration_error(confidence: NDArray[Any], correct: NDArray[Any], bins: int = BINS) -> float | None:
    """Return the expected calibration error with bins of equal mass (Nixon et al. 2019); None without items.

    The mean over bins of |share that is correct - mean confidence|, weighted by the number of items.
    """
    if len(confidence) == 0:
        return None
    order = np.argsort(confidence, kind="stable")
    gap = (np.asarray(correct, dtype=np.float64) - confidence)[order]
    parts = np.array_split(gap, min(bins, len(gap)))
    return float(sum(abs(part.sum()) for part in parts) / len(gap))


def evaluate(
    proba: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    *,
    multi: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities (n, C) against class indices (n,), or booleans (n, C) for `multi` (cut at 0.5)."""
    if proba.ndim != 2 or proba.shape[1] != len(class_keys) or len(targets) != len(proba):
        raise ValueError(
            f"probabilities {proba.shape} do not fit {len(targets)} targets, {len(class_keys)} classes"
        )
    if not np.isfinite(proba).all():
        raise ValueError("probabilities must be finite")
    rng = np.random.default_rng(seed)
    if multi:
        return _evaluate_multi(proba, np.asarray(targets, dtype=bool), class_keys, rng)
    return _evaluate_single(proba, np.asarray(targets), class_keys, rng)


def _evaluate_single(
    proba: NDArray[Any], truth: NDArray[Any], class_keys: Sequence[str], rng: np.random.Generator
) -> Evaluation:
    n, classes = proba.shape
    guess = proba.argmax(axis=1)
    right = guess == truth
    cells, counts = np.unique(truth * classes + guess, return_counts=True)
    rows, columns = cells // classes, cells % classes
    # Drawing the cells of the confusion matrix is drawing items with replacement, many replicates at once.
    draws = rng.multinomial(n, counts / n, size=REPLICATES) if n else np.zeros((0, 0), dtype=np.int64)
    table = np.vstack([counts[None], draws])
    support, predicted, hits = (np.zeros((len(table), classes)) for _ in range(3))
    for cell in range(len(cells)):
        support[:, rows[cell]] += table[:, cell]
        predicted[:, columns[cell]] += table[:, cell]
        if rows[cell] == columns[cell]:
            hits[:, rows[cell]] += table[:, cell]
    return Evaluation(
        n=n,
        accuracy=wilson(int(right.sum()), n),
        macro_f1=_macro(hits, support, predicted),
        micro_f1=None,
        calibration_error=calibration_error(proba.max(axis=1), right) if n else None,
        classes=_per_class(class_keys, hits[0], support[0], predicted[0]),
    )


def _evaluate_multi(
    proba: NDArray[Any], truth: NDArray[np.bool_], class_keys: Sequence[str], rng: np.random.Generator
) -> Evaluation:
    n = len(proba)
    guess = proba >= 0.5
    parts = np.concatenate([truth & guess, truth, guess], axis=1).astype(np.float64)
    draws = (
        rng.multinomial(n, np.full(n, 1 / n), size=_AT_ONCE)
        for _ in range(REPLICATES // _AT_ONCE if n else 0)
    )
    tables = [parts.sum(axis=0, keepdims=True), *(times @ parts for times in draws)]
    hits, support, predicted = np.split(np.vstack(tables), 3, axis=1)
    micro = f1_scores(hits[0].sum(), support[0].sum(), predicted[0].sum())
    return Evaluation(
        n=n,
        accuracy=wilson(int((truth == guess).all(axis=1).sum()), n),
        macro_f1=_macro(hits, support, predicted),
        micro_f1=_number(micro),
        calibration_error=calibration_error(proba.ravel(), truth.ravel()),
        classes=_per_class(class_keys, hits[0], support[0], predicted[0]),
    )


def _macro(hits: NDArray[Any], support: NDArray[Any], predicted: NDArray[Any]) -> Estimate:
    """Return macro-F1 of the first row and the percentile interval of the others (bootstrap replicates), if it has one."""
    scores = f1_scores(hits, support, predicted)
    present = ~np.isnan(scores)
    if not present[0].any():
        return NOTHING
    means = np.where(present, scores, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    low, high = np.quantile(means[1:], (0.025, 0.975))
    if low == high:
        # Replicates of items that are all right (or all wrong) are all alike: that is no certainty, it is no interval.
        return Estimate(float(means[0]), None, None)
    return Estimate(float(means[0]), float(low), float(high))


def _per_class(
    class_keys: Sequence[str], hits: NDArray[Any], support: NDArray[Any], predicted: NDArray[Any]
) -> tuple[ClassMeasures, ...]:
    f1 = f1_scores(hits, support, predicted)
    return tuple(
        ClassMeasures(
            key=key,
            support=int(support[c]),
            predicted=int(predicted[c]),
            precision=float(hits[c] / predicted[c]) if predicted[c] else None,
            recall=float(hits[c] / support[c]) if support[c] else None,
            f1=_number(f1[c]),
        )
        for c, key in enumerate(class_keys)
    )


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
