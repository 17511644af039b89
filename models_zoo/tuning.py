"""Cross-validation of the head: out-of-fold scores, strength and temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_zoo.device import HEAD_THREADS, torch_threads
from models_zoo.errors import NotEnoughData
from models_zoo.head import DEFAULT_STRENGTH, HeadState, initial_point
from models_zoo.objective import HeadProblem, check_features, one_hot

# From strong to weak: each fit starts where the one before ended, and weak ones are tried while they pay.
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
TUNING_ROWS = 2_000
TUNE_AGAIN = 1.25  # when there are so many times the labels of the last tuning
# Weaker strengths are tried until this many in a row have not lowered the loss by a hundredth.
_PATIENCE = 2
_WORTHWHILE = 0.99
_TEMPERATURES = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Tuning:
    """The strength and temperature chosen, from `samples` labels; `tuned` is false where there were too few.

    `losses` maps each strength tried to its out-of-fold loss (nats a label, each at its best temperature).
    """

    strength: float
    temperature: float
    samples: int
    tuned: bool
    losses: dict[float, float] = field(default_factory=dict)


def stratified_folds(
    targets: NDArray[Any], folds: int, rng: np.random.Generator, *, multi: bool = False
) -> NDArray[np.int64]:
    """Return a fold (n,) for each row so that each class is spread evenly; multi-label goes by its rarest class."""
    if multi:
        counts = targets.sum(axis=0)
        rarity = np.where(targets.astype(bool), counts, np.iinfo(np.int64).max)
        group = np.where(targets.any(axis=1), rarity.argmin(axis=1), -1)
    else:
        group = targets
    order = rng.permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    assigned = np.empty(len(group), dtype=np.int64)
    assigned[order] = np.arange(len(group)) % folds
    return assigned


def cross_fit(
    features: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    folds: NDArray[np.integer],
    *,
    multi: bool = False,
    strength: float = DEFAULT_STRENGTH,
    sample_weight: NDArray[np.floating] | None = None,
    init: HeadState | None = None,
    tolerance: float = 1e-6,
) -> NDArray[np.float32]:
    """Return the scores (n, C) of each row from a head that has not seen its fold; NaN where the fold is -1.

    Rows of fold -1 always teach and are never scored. `init` only saves time: every fold is fitted until less than
    `tolerance` nats a label remain, so what the start knew of a held-out row is forgotten.
    """
    rows = check_features(features)
    encoded = one_hot(np.asarray(targets), len(rows), len(class_keys), multi=multi)
    held_out, weights = _fold_weights(np.asarray(folds), len(rows), sample_weight)
    scores = np.full(encoded.shape, np.nan, dtype=np.float32)
    if not len(weights):
        return scores
    with torch_threads(HEAD_THREADS):
        problem = HeadProblem(rows, encoded, weights, multi=multi)
        start = initial_point(problem, init, class_keys)
        points, _, _ = problem.solve(strength, start, tolerance=tolerance)
        matrices, biases = problem.heads(points)
    _score_held_out(scores, rows, held_out, matrices, biases)
    return scores


def tune_head(
    features: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    *,
    multi: bool = False,
    tune_mask: NDArray[np.bool_] | None = None,
    sample_weight: NDArray[np.floating] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    folds: int = 5,
    seed: int = 0,
    max_rows: int = TUNING_ROWS,
) -> Tuning:
    """Choose strength and temperature by stratified cross-validation on the rows of `tune_mask` and no others.

    Rows outside the mask (the share on which models are evaluated) are neither fitted nor scored. From more than
    `max_rows` labels a random part is taken: the strength of the summed loss hardly depends on their number. Too
    few labels for two folds give the defaults with `tuned=False`.
    """
    targets = np.asarray(targets)
    chosen = np.arange(len(targets)) if tune_mask is None else np.flatnonzero(tune_mask)
    rng = np.random.default_rng(seed)
    if len(chosen) > max_rows:
        chosen = np.sort(rng.choice(chosen, max_rows, replace=False))
    labels = targets[chosen]
    encoded = one_hot(labels, len(chosen), len(class_keys), multi=multi)
    unknown = Tuning(DEFAULT_STRENGTH, 1.0, len(chosen), tuned=False)
    count = _possible_folds(encoded, folds, multi=multi)
    if count < 2:
        return unknown
    rows = check_features(np.asarray(features)[chosen])
    weight = None if sample_weight is None else np.asarray(sample_weight)[chosen]
    assigned = stratified_folds(labels, count, rng, multi=multi)
    if not multi:
        # The only label of a class teaches and is not judged: no head that missed it could know the class, and every
        # strength would be blamed for that, the weak ones most.
        assigned[encoded.sum(axis=0)[labels] < 2] = -1
    held_out, weights = _fold_weights(assigned, len(rows), weight)
    try:
        results = _path(
            rows, encoded, held_out, weights, sorted(strengths, reverse=True), weight, multi=multi
        )
    except NotEnoughData:
        return unknown
    strength = min(results, key=lambda tried: results[tried][0])
    losses = {tried: loss for tried, (loss, _) in results.items()}
    return Tuning(strength, results[strength][1], len(chosen), tuned=True, losses=losses)


def retune(
    last: Mapping[str, Any] | None,
    features: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    *,
    share: NDArray[np.bool_],
    multi: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the record of the last tuning while it holds, else a new one from the labels outside `share` (n,).

    A tuning holds for the same classes until their labels have grown by a quarter. The record, plain JSON: strength,
    temperature, tuned, labels, classes.
    """
    outside = ~share
    count = int(outside.sum())
    if last and last["classes"] == list(class_keys) and count < TUNE_AGAIN * max(1, last["labels"]):
        return dict(last)
    found = tune_head(features, targets, class_keys, multi=multi, tune_mask=outside, seed=seed)
    return {
        "strength": found.strength,
        "temperature": found.temperature,
        "tuned": found.tuned,
        "labels": count,
        "classes": list(class_keys),
    }


def _path(
    rows: NDArray[np.float32],
    encoded: NDArray[np.float32],
    held_out: list[NDArray[np.int64]],
    weights: NDArray[np.float64],
    strengths: Sequence[float],
    sample_weight: NDArray[np.floating] | None,
    *,
    multi: bool,
) -> dict[float, tuple[float, float]]:
    """Return (loss, temperature) of each strength tried: all folds at once, strengths one from the other."""
    results: dict[float, tuple[float, float]] = {}
    judged = np.sort(np.concatenate(held_out))
    truth, weight = encoded[judged], None if sample_weight is None else sample_weight[judged]
    with torch_threads(HEAD_THREADS):
        problem = HeadProblem(rows, encoded, weights, multi=multi)
        points = None
        for strength in strengths:
            points, _, _ = problem.solve(strength, points, tolerance=1e-5)
            scores = np.empty_like(encoded)
            _score_held_out(scores, rows, held_out, *problem.heads(points))
            temperature = best_temperature(scores[judged], truth, multi=multi, sample_weight=weight)
            loss = log_loss(scores[judged] / temperature, truth, multi=multi, sample_weight=weight)
            results[strength] = (loss, temperature)
            found = [loss for loss, _ in results.values()]
            if len(found) > _PATIENCE and min(found[-_PATIENCE:]) > _WORTHWHILE * min(found[:-_PATIENCE]):
                break
    return results


def _possible_folds(encoded: NDArray[np.float32], folds: int, *, multi: bool) -> int:
    """Return how many folds leave enough in each training part; below two: none."""
    positive = encoded.sum(axis=0)
    if multi:
        both = np.minimum(positive, len(encoded) - positive)
        return min(folds, int(both.max(initial=0)))
    second = np.sort(positive)[-2] if len(positive) > 1 else 0
    return 0 if second < 2 else min(folds, len(encoded))


def _fold_weights(
    folds: NDArray[np.integer], count: int, sample_weight: NDArray[np.floating] | None
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Return for each fold its held-out rows, and row weights (folds, n) that are zero there."""
    if folds.shape != (count,):
        raise ValueError(f"folds must be ({count},), got {folds.shape}")
    base = np.ones(count) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    held_out = [np.flatnonzero(folds == fold) for fold in np.unique(folds[folds >= 0])]
    weights = np.tile(base, (len(held_out), 1))
    for index, out in enumerate(held_out):
        weights[index, out] = 0
    return held_out, weights


def _score_held_out(
    scores: NDArray[np.float32],
    rows: NDArray[np.float32],
    held_out: list[NDArray[np.int64]],
    matrices: NDArray[np.float32],
    biases: NDArray[np.float32],
) -> None:
    for out, matrix, bias in zip(held_out, matrices, biases, strict=True):
        scores[out] = rows[out] @ matrix.T + bias


def probabilities(scores: NDArray[np.floating], *, multi: bool) -> NDArray[np.float64]:
    """Return the probabilities (n, C) of scores (n, C)."""
    scores = scores.astype(np.float64)
    if multi:
        return np.asarray(np.exp(-np.logaddexp(0, -scores)), dtype=np.float64)
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def log_loss(
    scores: NDArray[np.floating],
    encoded: NDArray[np.float32],
    *,
    multi: bool,
    sample_weight: NDArray[np.floating] | None = None,
) -> float:
    """Return the mean negative log likelihood (nats a row) of scores (n, C) against zeros and ones (n, C)."""
    scores = scores.astype(np.float64)
    if multi:
        loss = (np.logaddexp(0, scores) - encoded * scores).sum(axis=1)
    else:
        top = scores.max(axis=1, keepdims=True)
        normaliser = top[:, 0] + np.log(np.exp(scores - top).sum(axis=1))
        loss = normaliser - (encoded * scores).sum(axis=1)
    return float(np.average(loss, weights=sample_weight))


def best_temperature(
    scores: NDArray[np.floating],
    encoded: NDArray[np.float32],
    *,
    multi: bool = False,
    sample_weight: NDArray[np.floating] | None = None,
) -> float:
    """Return the temperature that makes held-out scores most likely (Guo et al. 2017).

    A prior worth about one label holds it near one, so that a handful of labels cannot send it to an extreme.
    """
    total = len(scores) if sample_weight is None else float(np.sum(sample_weight))

    def cost(log_temperature: float) -> float:
        loss = log_loss(scores / np.exp(log_temperature), encoded, multi=multi, sample_weight=sample_weight)
        return loss * total + 0.5 * log_temperature**2

    return float(
        np.exp(_golden_section(cost, float(np.log(_TEMPERATURES[0])), float(np.log(_TEMPERATURES[1]))))
    )


def _golden_section(
    cost: Callable[[float], float], low: float, high: float, tolerance: float = 5e-3
) -> float:
    """Return the minimum of a function with one valley."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > tolerance:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2
