"""Is the strategy helping? Random labels against those that were served, judged on random labels neither learned from.

The random share is cut into folds. Of each fold's labels are judged: models of so many other random labels (the random
curve), and models of as many labels in the order in which the project got them (the served curve), without the fold. Both
end at the same number of labels. What is compared is how many each needs for the highest accuracy that both reach; nothing
is extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from acquisition.curves import rising, saved_at_common_level
from annotator.learning.work import Ints
from models_zoo.head import HeadState, fit_head
from models_zoo.tuning import stratified_folds

State = Literal["few", "unclear", "saved", "none"]
Doubles = npt.NDArray[np.float64]

LEAST_RANDOM = 200
LEAST_SERVED = 50
MOST_JUDGED = 2_000
FOLDS, ORDERS, SIZES = 5, 3, 7
SMALLEST = 20  # labels of the first models
RESAMPLES = 1_000
HOPELESS = 20.0  # times the random labels there are: beyond that no number is promised


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels with features: features (n, D), targets (n,) or (n, C), share (n,): drawn at random, served (m,): positions
    in the order in which the queue got them labelled."""

    features: npt.NDArray[np.float32]
    targets: npt.NDArray[Any]
    share: npt.NDArray[np.bool_]
    served: Ints
    class_keys: tuple[str, ...]
    multi: bool


@dataclass(frozen=True, eq=False)
class Curves:
    """How right models of so many labels (sizes,) are on each judged label: random (orders, sizes, judged), served
    (sizes, judged). Both have the same sizes: a curve that went on further could lose more labels than it could gain."""

    sizes: Ints
    random: Doubles
    served: Doubles


def is_it_helping(
    labels: Labels, *, strength: float, seed: int, on_fit: Callable[[int, int], None]
) -> dict[str, Any]:
    """`state` with the labels saved (`value`, `low`, `high`) and both curves, as plain JSON. `on_fit(done, total)`."""
    n_random = int(labels.share.sum())
    if n_random < LEAST_RANDOM:
        return {"state": "few", "n_random": n_random, "needed": LEAST_RANDOM - n_random}
    if len(labels.served) < LEAST_SERVED:
        # Imported answers, say: no strategy has served enough to be compared.
        return {"state": "few", "n_random": n_random, "needed": 0, "served": len(labels.served)}
    curves = measure_curves(labels, strength=strength, seed=seed, on_fit=on_fit)
    return judge(curves, n_random=n_random, seed=seed)


def measure_curves(
    labels: Labels, *, strength: float, seed: int, on_fit: Callable[[int, int], None]
) -> Curves:
    """Fits both curves fold by fold."""
    rng = np.random.default_rng([seed, 5])
    judged = np.flatnonzero(labels.share)
    if len(judged) > MOST_JUDGED:
        judged = np.sort(rng.permutation(judged)[:MOST_JUDGED])
    folds = stratified_folds(labels.targets[judged], FOLDS, rng, multi=labels.multi)
    most_served = len(labels.served) - int(np.isin(labels.served, judged).sum() / FOLDS) - 1
    sizes = _sizes(SMALLEST, min(len(judged) - int(np.bincount(folds).max()), most_served), SIZES)
    random = np.zeros((ORDERS, len(sizes), len(judged)))
    served = np.zeros((len(sizes), len(judged)))
    done, total = 0, FOLDS * (ORDERS + 1) * len(sizes)

    def score(train: Ints, out: Ints, start: HeadState | None) -> tuple[Doubles, HeadState | None]:
        nonlocal done
        done += 1
        on_fit(done, total)
        return _right(labels, train, out, strength, start)

    for fold in range(FOLDS):
        mine = folds == fold
        out, others = judged[mine], judged[~mine]
        sequence = labels.served[~np.isin(labels.served, out)]
        head: HeadState | None = None
        for place, size in enumerate(sizes.tolist()):
            served[place, mine], head = score(sequence[:size], out, head)
        for curve in random:
            order, head = rng.permutation(others), None
            for place, size in enumerate(sizes.tolist()):
                curve[place, mine], head = score(order[:size], out, head)
    return Curves(sizes, random, served)


def judge(curves: Curves, *, n_random: int, seed: int) -> dict[str, Any]:
    """The verdict: judged labels are resampled, 95 %.

    The served curve is compared with one random order at a time: it is one course of labelling itself, and against the
    mean of several its own noise would count as a gain. The interval draws the order as well as the labels.
    """
    count = curves.served.shape[1]
    rng = np.random.default_rng([seed, 6])
    times = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    random, served = np.einsum("rj,osj->ors", times, curves.random, optimize=True), times @ curves.served.T
    orders = rng.integers(0, len(random), RESAMPLES)
    drawn = saved_at_common_level(curves.sizes, served, curves.sizes, random[orders, np.arange(RESAMPLES)])
    level = _level(curves)
    estimate: int = level["random"] - level["served"]
    low, high = (float(value) for value in np.quantile(drawn, [0.025, 0.975]))
    state: State = "saved" if low > 0 else "none" if high < 0 else "unclear"
    return {
        "state": state,
        "n_random": n_random,
        "saved": {"value": estimate, "low": round(low), "high": round(high)},
        "needed": _needed(estimate, low, high, n_random) if state == "unclear" else 0,
        "level": level,
        "random": _points(curves.sizes, curves.random.mean(axis=0), random.mean(axis=0)),
        "served": _points(curves.sizes, curves.served, served),
    }


def _needed(estimate: float, low: float, high: float, n_random: int) -> int | None:
    """Further random labels until the interval would leave zero if the estimate stays; None: hopelessly many.

    Its width falls with the root of their number.
    """
    half = (high - low) / 2
    if half <= 0 or abs(estimate) < half / np.sqrt(HOPELESS):
        return None
    return max(1, round(n_random * ((half / abs(estimate)) ** 2 - 1)))


def _level(curves: Curves) -> dict[str, Any]:
    """The accuracy at which labels are compared, and where each curve gets there: means over the random orders."""
    random = rising(curves.random.mean(axis=-1))
    served = np.broadcast_to(rising(curves.served.mean(axis=-1)), random.shape)
    level = np.minimum(random[:, -1], served[:, -1])

    def reach(curve: Doubles) -> float:
        # The other curve is at the level from its only point on.
        return float(saved_at_common_level(np.zeros(1), level[:, None], curves.sizes, curve).mean())

    return {
        "accuracy": round(float(level.mean()), 5),
        "random": round(reach(random)),
        "served": round(reach(served)),
    }


def _points(sizes: Ints, right: Doubles, drawn: Doubles) -> list[dict[str, float]]:
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [
        {"x": int(size), "y": round(float(value), 5), "low": round(float(a), 5), "high": round(float(b), 5)}
        for size, value, a, b in zip(sizes, right.mean(axis=1), low, high, strict=True)
    ]


def _right(
    labels: Labels, train: Ints, out: Ints, strength: float, start: HeadState | None
) -> tuple[Doubles, HeadState | None]:
    """Whether (out,) the model of `train` is right, of many labels with all of them; of one class only, it always says
    that one."""
    targets, truth = labels.targets[train], labels.targets[out]
    if labels.multi:
        if not (targets.any(axis=0) & ~targets.all(axis=0)).any():
            usual = targets.mean(axis=0) >= 0.5
            return np.asarray((truth == usual).all(axis=1), dtype=np.float64), None
    elif len(np.unique(targets)) < 2:
        return np.asarray(truth == targets[0], dtype=np.float64), None
    head = fit_head(
        labels.features[train], targets, labels.class_keys, multi=labels.multi, strength=strength, init=start
    )
    scores = head.logits(labels.features[out])
    if labels.multi:
        return np.asarray(((scores >= 0) == truth).all(axis=1), dtype=np.float64), head
    return np.asarray(scores.argmax(axis=1) == truth, dtype=np.float64), head


def _sizes(first: int, last: int, count: int) -> Ints:
    """Numbers of labels from first to last, each so many times the one before."""
    if last <= first:
        return np.array([max(1, last)], dtype=np.int64)
    return np.unique(np.geomspace(first, last, count).round().astype(np.int64))
