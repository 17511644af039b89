"""How many labels a strategy saves: `python -m benchmarks.label_efficiency --data agnews --strategies random,margin`.

Replays labelling on real data with the product's own parts: frozen encoder, head refitted after each batch and tuned
by its rule, strategies of the registry, typicality until there is a model, stochastic order, exploration share.
Accuracy is that on the official test part, which nothing is fitted or tuned on. One JSON object a line; those with
`seeds` are means over seeds with 95 % bootstrap intervals, also of the paired difference to the baseline.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import threadpoolctl  # type: ignore[import-untyped]
import torch

from acquisition.curves import area_under_curve, bootstrap_interval, labels_to, paired_difference
from acquisition.simulate import accuracy, replay
from annotator.learning.lab_head import LabHead
from annotator.learning.stream import JOINTLY
from benchmarks import datasets
from benchmarks.datasets import Halves, Ints

BASELINE = "random"
STRATEGIES = "random,automatic,margin,entropy,least_confidence,typicality"
LEVELS = {"labels_to_95": 0.95, "labels_to_99": 0.99}
Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How labelling is replayed; defaults are those of a new project."""

    batch: int = 20
    labels: int = 500
    pool: int = 0  # items of the training part that may be labelled; 0 = all
    cold: str = "typicality"
    randomness: float = 0.25
    share: float = 0.1


# Enough labels to come near the accuracy of the whole training part, in minutes on two busy cores.
PLANS = {
    "agnews": Settings(batch=50, labels=1000, pool=3000),
    "trec": Settings(batch=50, labels=1000, pool=3000),
    "banking77": Settings(batch=80, labels=800, pool=3000),
    "trashnet": Settings(batch=25, labels=500),
    "cifar10": Settings(batch=50, labels=800, pool=2000),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One data set as arrays: features (n, D) and targets (n,) of what may be labelled, and of the test part."""

    name: str
    classes: tuple[str, ...]
    features: Halves
    targets: Ints
    test_features: Halves
    test_targets: Ints

    def part(self, size: int) -> Case:
        """A random part of what may be labelled, always the same one; 0 or too many = all."""
        if not 0 < size < len(self.targets):
            return self
        rows = np.sort(np.random.default_rng(0).choice(len(self.targets), size, replace=False))
        return Case(
            self.name,
            self.classes,
            self.features[rows],
            self.targets[rows],
            self.test_features,
            self.test_targets,
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy (k,) on the test part after so many labels (k,)."""

    labels: Ints
    accuracy: npt.NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    earlier = [json.loads(line) for path in options.earlier for line in path.read_text().splitlines()]
    with threadpoolctl.threadpool_limits(options.threads):
        for name in options.data.split(","):
            try:
                case = load_case(name, options.cache)
            except datasets.DataMissing as error:
                print(error, file=sys.stderr)
                continue
            settings = _settings(name, options)
            strategies = options.strategies.split(",")
            for line in measure(case, strategies, options.seeds, settings, earlier, options.baseline):
                print(json.dumps(line), flush=True)


def load_case(name: str, cache: Path) -> Case:
    """The data set of that name with its features, computed if the cache has none."""
    data = datasets.load(name)
    train, test = datasets.features_of(data, cache)
    return Case(name, data.classes, train, data.train.targets, test, data.test.targets)


def measure(
    case: Case,
    strategies: Sequence[str],
    seeds: int,
    settings: Settings,
    earlier: Sequence[Line] = (),
    baseline: str = BASELINE,
) -> Iterator[Line]:
    """Every line of one data set: what it is, its accuracy with all labels, each run, the summary.

    `earlier`: lines of before; runs that stand there, made with the same settings, are told again and not repeated.
    """
    full, train = full_accuracy(case), len(case.targets)
    case = case.part(settings.pool)
    facts = {"train": train, "test": len(case.test_targets), "classes": len(case.classes)}
    facts |= {**asdict(settings), "pool": len(case.targets)}
    yield _line(case.name, "full", full, "share", **facts)
    kept = known_runs(case.name, facts, earlier)
    runs: dict[str, list[Curve]] = {strategy: [] for strategy in strategies}
    for seed in range(seeds):
        for strategy in runs:
            curve, took = kept.get((strategy, seed)) or _timed(case, strategy, seed, settings)
            runs[strategy].append(curve)
            known = {"strategy": strategy, "seed": seed}
            for labels, value in zip(curve.labels.tolist(), curve.accuracy.tolist(), strict=True):
                yield _line(case.name, "accuracy", value, "share", labels=labels, **known)
            for metric, number in numbers(curve, full).items():
                yield _line(case.name, metric, number, _unit(metric), **known)
            yield _line(case.name, "time", took, "s", **known)
    for row in summary(runs, full, baseline):
        yield {"benchmark": "label_efficiency", "case": case.name, **row}


def known_runs(
    case: str, facts: Mapping[str, Any], lines: Sequence[Line]
) -> dict[tuple[str, int], tuple[Curve, float]]:
    """Whole runs of this case among earlier lines, with the seconds they took; those of other settings are left out."""
    found: dict[tuple[str, int], tuple[Curve, float]] = {}
    points: dict[tuple[str, int], list[tuple[int, float]]] = {}
    same = False
    for line in lines:
        if line["case"] != case:
            continue
        if line["metric"] == "full":
            same = facts.items() <= line.items()
        elif same and "seed" in line:
            run = (line["strategy"], line["seed"])
            if line["metric"] == "accuracy":
                points.setdefault(run, []).append((line["labels"], line["value"]))
            elif line["metric"] == "time":
                labels, values = zip(*points.pop(run), strict=True)
                found[run] = Curve(np.array(labels), np.array(values)), line["value"]
    return found


def _timed(case: Case, strategy: str, seed: int, settings: Settings) -> tuple[Curve, float]:
    start = time.perf_counter()
    return learn(case, strategy, seed, settings), time.perf_counter() - start


def full_accuracy(case: Case) -> float:
    """Accuracy of the head that learned the whole training part."""
    nobody = np.zeros(len(case.targets), dtype=bool)
    head = LabHead(case.classes, seed=0)
    (proba,) = head(case.features, case.targets, [case.test_features], nobody)
    return accuracy(case.test_targets, proba)


def learn(case: Case, strategy: str, seed: int, settings: Settings) -> Curve:
    """One replay of labelling, by a strategy or a preset."""
    head = LabHead(case.classes, seed)
    done = replay(
        features=case.features,
        targets=case.targets,
        test_features=case.test_features,
        test_targets=case.test_targets,
        n_classes=len(case.classes),
        fit_predict=head,
        strategy=strategy,
        cold_start=settings.cold,
        batches=[settings.batch] * (settings.labels // settings.batch),
        seed=seed,
        mode=None,
        beta=1 / settings.randomness if settings.randomness > 0 else None,
        share=settings.share,
        jointly=JOINTLY,
        signals=head.signals,
    )
    return Curve(done.labels, done.score)


def numbers(curve: Curve, full: float) -> dict[str, float | None]:
    """Area under a curve, and the labels at which it reaches parts of the `full` accuracy; None = it does not."""
    found: dict[str, float | None] = {"area": area_under_curve(curve.labels, curve.accuracy)}
    for metric, fraction in LEVELS.items():
        found[metric] = labels_to(curve.labels, curve.accuracy, full=full, fraction=fraction)
    return found


def summary(runs: Mapping[str, Sequence[Curve]], full: float, baseline: str = BASELINE) -> Iterator[Line]:
    """Means over seeds, strategy by strategy: area, labels to each level, accuracy after each batch.

    A level that some seed does not reach has no mean: its value is None, `reached` says how many do.
    """
    for strategy, curves in runs.items():
        against = runs.get(baseline) if strategy != baseline else None
        ours = [numbers(curve, full) for curve in curves]
        theirs = None if against is None else [numbers(curve, full) for curve in against]
        for metric in ours[0]:
            values = [row[metric] for row in ours]
            others = None if theirs is None else [row[metric] for row in theirs]
            yield {"metric": metric, **_compare(values, others, _unit(metric)), "strategy": strategy}
        for place, labels in enumerate(curves[0].labels.tolist()):
            after = [float(curve.accuracy[place]) for curve in curves]
            others = None if against is None else [float(curve.accuracy[place]) for curve in against]
            row = _compare(after, others, _unit("accuracy"))
            yield {"metric": "accuracy", **row, "strategy": strategy, "labels": labels}


def _compare(ours: Sequence[float | None], theirs: Sequence[float | None] | None, unit: str) -> Line:
    """Mean with its interval, and that of the paired difference to the baseline where every seed has both."""
    known = [value for value in ours if value is not None]
    row: Line = {"value": None, "unit": unit, "seeds": len(ours), "reached": len(known)}
    if len(known) < len(ours):
        return row
    row |= _rounded("", bootstrap_interval(known, rng=np.random.default_rng(0)))
    others = [value for value in theirs or () if value is not None]
    if len(others) == len(known):
        row |= _rounded("difference", paired_difference(known, others, rng=np.random.default_rng(0)))
    return row


def _rounded(name: str, interval: Any) -> Line:
    prefix = f"{name}_" if name else ""
    return {
        name or "value": round(interval.estimate, 4),
        f"{prefix}low": round(interval.low, 4),
        f"{prefix}high": round(interval.high, 4),
    }


def _unit(metric: str) -> str:
    return "labels" if metric in LEVELS else "share"


def _line(case: str, metric: str, value: float | None, unit: str, **parameters: Any) -> Line:
    shown = None if value is None else round(value, 4)
    line = {"benchmark": "label_efficiency", "case": case, "metric": metric, "value": shown, "unit": unit}
    return line | parameters


def _settings(name: str, options: argparse.Namespace) -> Settings:
    """The plan of the data set, changed by what the command line says."""
    given = {key: getattr(options, key) for key in asdict(PLANS[name]) if getattr(options, key) is not None}
    return Settings(**{**asdict(PLANS[name]), **given})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=",".join(datasets.NAMES), help=f"of {', '.join(datasets.NAMES)}")
    parser.add_argument("--strategies", default=STRATEGIES, help="keys of strategies and presets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--baseline", default=BASELINE, help="the one that others are compared with")
    parser.add_argument("--batch", type=int, help="labels between two fits; default by data set")
    parser.add_argument("--labels", type=int, help="labels in all; default by data set")
    parser.add_argument("--pool", type=int, help="label from a random part of so many items; 0 = all")
    parser.add_argument("--cold", help="strategy while there is no model; default typicality")
    parser.add_argument("--randomness", type=float, help="of the order; 0 = strict; default 0.25")
    parser.add_argument("--share", type=float, help="of exploration draws; 0 = none; default 0.1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--earlier", type=Path, action="append", default=[], help="what an earlier run printed; not repeated"
    )
    parser.add_argument("--cache", type=Path, default=datasets.default_cache(), help="folder of features")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
