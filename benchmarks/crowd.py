"""How good labels of several people become: `python -m benchmarks.crowd --data bluebirds,sentiment,cifar10n`.

Real answers with truth, read from the folder `ANNOTATOR_SHARED`. Accuracy of each way of making one label out of several,
with 95 % bootstrap intervals over items, and the paired difference to the majority vote, whose ties count as the chance of
being right. `--overlap 3` keeps three answers of each item, drawn anew for each seed. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.quality.agreement import krippendorff
from annotator.quality.crowd import Method, posterior
from benchmarks.application import emit
from benchmarks.datasets import DataMissing, shared_folder

FILES = {
    "bluebirds": "crowd/bluebirds/answers.csv",
    "sentiment": "crowd/sentiment_sp_amt/answers.csv",
    "cifar10n": "crowd/cifar10n/answers.csv.gz",
}
METHODS: tuple[Method, ...] = ("dawid_skene", "one_coin")
RESAMPLES = 5_000
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """v answers: items, people, labels (v,) as indices; truth (n,) by item."""

    items: Ints
    people: Ints
    labels: Ints
    truth: Ints
    classes: int

    def some(self, overlap: int, rng: np.random.Generator) -> Answers:
        """At most `overlap` answers of each item, drawn at random; 0 keeps all."""
        if not overlap:
            return self
        order = rng.permutation(len(self.items))
        order = order[np.argsort(self.items[order], kind="stable")]
        items = self.items[order]
        start = np.searchsorted(items, items)
        kept = np.sort(order[np.arange(len(items)) - start < overlap])
        return Answers(self.items[kept], self.people[kept], self.labels[kept], self.truth, self.classes)


def read(name: str) -> Answers:
    """The answers of a data set; DataMissing where it is not on this machine."""
    path = shared_folder() / "data" / FILES[name]
    if not path.exists():
        raise DataMissing(f"The answers '{name}' are not there; ANNOTATOR_SHARED names the folder.")
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    names = sorted({line["gold"] for line in lines} | {line["label"] for line in lines})
    items, item = np.unique([line["item"] for line in lines], return_inverse=True)
    _, person = np.unique([line["worker"] for line in lines], return_inverse=True)
    label = np.array([names.index(line["label"]) for line in lines])
    truth = np.zeros(len(items), dtype=np.int64)
    truth[item] = [names.index(line["gold"]) for line in lines]
    return Answers(item.astype(np.int64), person.astype(np.int64), label, truth, len(names))


def counts(answers: Answers) -> Ints:
    table = np.zeros((len(answers.truth), answers.classes), dtype=np.int64)
    np.add.at(table, (answers.items, answers.labels), 1)
    return table


def right_by_shares(shares: Floats, truth: Ints) -> Floats:
    """Chance (n,) of each item to be right when ties are broken at random."""
    best = shares >= shares.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(best[np.arange(len(truth)), truth] / best.sum(axis=1))


def interval(values: Floats, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean (n,) with its percentile bootstrap interval over items."""
    n = len(values)
    means = np.array([values[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def measure(answers: Answers) -> dict[str, tuple[Floats, float]]:
    """Correctness by item (n,) and seconds of CPU of each method."""
    table = counts(answers)
    found = {"majority": (right_by_shares(table.astype(np.float64), answers.truth), 0.0)}
    for method in METHODS:
        begun = time.process_time()
        crowd = posterior(
            answers.items, answers.people, answers.labels, n_classes=answers.classes, method=method
        )
        seconds = time.process_time() - begun
        found[method] = right_by_shares(crowd.proba, answers.truth[crowd.tasks]), seconds
    return found


def run(name: str, overlap: int, seeds: int) -> None:
    answers, rng = read(name), np.random.default_rng(0)
    runs = [measure(answers.some(overlap, np.random.default_rng(seed))) for seed in range(seeds)]
    parameters = {"overlap": overlap or "all", "seeds": seeds, "items": len(answers.truth)}
    alpha = krippendorff(counts(answers), rng=rng)
    emit("crowd", name, "alpha", alpha.value or 0.0, "alpha", low=alpha.low, high=alpha.high, **parameters)
    # Over seeds first, then over items: an item's correctness is its mean over the draws of its answers.
    majority = np.mean([each["majority"][0] for each in runs], axis=0)
    for method in ("majority", *METHODS):
        correct = np.mean([each[method][0] for each in runs], axis=0)
        value, low, high = interval(correct, rng)
        emit("crowd", name, f"accuracy_{method}", value, "share", low=low, high=high, **parameters)
        if method == "majority":
            continue
        value, low, high = interval(correct - majority, rng)
        emit("crowd", name, f"gain_{method}", value, "share", low=low, high=high, **parameters)
        seconds = float(np.median([each[method][1] for each in runs]))
        emit("crowd", name, f"cpu_{method}", seconds, "s", **parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=",".join(FILES))
    parser.add_argument("--overlap", type=int, default=0, help="answers kept of each item; 0: all")
    parser.add_argument("--seeds", type=int, default=1, help="draws of the answers, where some are left out")
    options = parser.parse_args()
    for name in options.data.split(","):
        run(name, options.overlap, options.seeds)


if __name__ == "__main__":
    main()
