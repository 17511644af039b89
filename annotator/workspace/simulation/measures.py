"""Numbers of a simulation: accuracy with its interval, areas, and differences between strategies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

from acquisition.curves import area_under_curve, bootstrap_interval, paired_difference
from annotator.workspace.simulation.gold import Gold

Z = 1.959964  # two-sided 95 %
DECIDED = 0.5


@dataclass(frozen=True)
class Point:
    """Accuracy on the `n_test` held-out items after `labels` answers, with its 95 % Wilson interval.

    `model` None: there was no model yet, and the most frequent answer so far was taken as its prediction.
    `seconds` since the annotators began.
    """

    labels: int
    accuracy: float
    low: float
    high: float
    n_test: int
    model: int | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in asdict(self).items()}


Curves = Mapping[str, Mapping[int, Sequence[Point]]]  # strategy -> seed -> points


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share `right / n` (Wilson 1927): inside 0 to 1 also for few and for extreme counts."""
    share, spread = right / n, Z * Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def predicted(probabilities: Mapping[str, float], *, multi: bool) -> tuple[str, ...]:
    """The classes that a model would answer, sorted."""
    if multi:
        return tuple(sorted(key for key, share in probabilities.items() if share >= DECIDED))
    return (max(probabilities, key=lambda key: probabilities[key]),)


def most_frequent(answers: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The commonest answer, the first in order among equals; () when there is none."""
    counts = Counter(answers)
    return min(counts, key=lambda answer: (-counts[answer], answer)) if counts else ()


def make_point(
    *, predictions: Mapping[str, tuple[str, ...]], gold: Gold, labels: int, model: int | None, seconds: float
) -> Point:
    """What share of `predictions` (external id -> classes) says exactly what gold says."""
    right = sum(gold[external_id] == classes for external_id, classes in predictions.items())
    n = len(predictions)
    low, high = wilson(right, n)
    return Point(labels, right / n, low, high, n, model, seconds)


def summaries(curves: Curves, *, compared: Sequence[str], seed: int = 0) -> Iterator[dict[str, Any]]:
    """One line a strategy: mean area under its curves; one a comparison: paired difference over common seeds.

    The area is the mean accuracy over the labels, so it is read like an accuracy. Intervals are bootstrapped over seeds;
    one seed has none.
    """
    areas = {
        strategy: {
            number: area_under_curve([p.labels for p in points], [p.accuracy for p in points])
            for number, points in runs.items()
            if points
        }
        for strategy, runs in curves.items()
    }
    for strategy, of_seed in areas.items():
        if not of_seed:
            continue
        found = bootstrap_interval([*of_seed.values()], rng=np.random.default_rng(seed))
        last = [curves[strategy][number][-1].accuracy for number in of_seed]
        yield _summary(strategy, "area", len(of_seed), found) | {"final": _rounded(sum(last) / len(last))}
    first, *_ = areas
    for other in compared:
        if common := sorted(areas[first].keys() & areas.get(other, {}).keys()):
            ours, theirs = ([areas[name][number] for number in common] for name in (first, other))
            found = paired_difference(ours, theirs, rng=np.random.default_rng(seed))
            yield _summary(first, "area_difference", len(common), found) | {"compared_to": other}


def _summary(strategy: str, metric: str, seeds: int, found: Any) -> dict[str, Any]:
    interval = {"low": _rounded(found.low), "high": _rounded(found.high)} if seeds > 1 else {}
    return {
        "summary": metric,
        "strategy": strategy,
        "value": _rounded(found.estimate),
        **interval,
        "seeds": seeds,
    }


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
