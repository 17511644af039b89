"""From the last needed label to the new queue: `python -m benchmarks.rerank --items 100000`.

Starts the whole application on a temporary data folder; a project of synthetic items has its features (D=384, C=10) in
place. Some labels arrive, a round becomes due as it does after an answer, and a worker of the application does it. `total`
ends when the new queue is served; one metric for each step comes from the round's own record. Then refits of the head.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.application import PATIENCE, Application, emit
from benchmarks.synthetic import (
    CLASSES,
    DIM,
    NEW_LABELS,
    add_labels,
    features_of,
    labelled_rows,
    make_project,
)

if TYPE_CHECKING:
    from annotator.projects.models import Project


def measure_round(project: Project) -> tuple[float, dict[str, float]]:
    """Seconds from the answer's question 'is a round due?' to the new queue, and the round's own timings."""
    from annotator.learning.models import LearningSettings, Round
    from annotator.learning.services import start_round_if_due
    from annotator.projects.models import Project as Projects

    LearningSettings.objects.filter(project=project).update(paused=False)
    before = Projects.objects.values_list("queue_start", "queue_end").get(pk=project.pk)
    started = time.perf_counter()
    # The application's own clock may have been a moment earlier.
    round_ = (
        start_round_if_due(project.pk)
        or Round.objects.filter(project=project, state=Round.State.ACTIVE).first()
    )
    if round_ is None:
        raise SystemExit("No round was due.")
    LearningSettings.objects.filter(project=project).update(paused=True)
    end = started + PATIENCE
    while Projects.objects.values_list("queue_start", "queue_end").get(pk=project.pk) == before:
        round_.refresh_from_db()
        if round_.state == Round.State.FAILED or time.perf_counter() > end:
            raise SystemExit(f"The round failed: {round_.error or 'it took too long'}")
        time.sleep(0.005)
    total = time.perf_counter() - started
    while Round.objects.filter(pk=round_.pk, state=Round.State.ACTIVE).exists():
        time.sleep(0.005)
    round_.refresh_from_db()
    return total, round_.timings


def run_rerank(items: int, labels: int, repeats: int) -> None:
    with Application():
        project = make_project(items)
        rows = labelled_rows(project, labels + (repeats + 1) * NEW_LABELS, items)
        add_labels(project, rows[:labels], seed=1)
        measure_round(project)  # the worker loads its libraries, the head starts from nothing
        totals: list[float] = []
        stages: dict[str, list[float]] = {}
        for repeat in range(repeats):
            start = labels + repeat * NEW_LABELS
            add_labels(project, rows[start : start + NEW_LABELS], seed=100 + repeat)
            total, timings = measure_round(project)
            totals.append(total)
            for stage, seconds in timings.items():
                stages.setdefault(stage, []).append(seconds)
    common = {"items": items, "labels": labels, "dim": DIM, "classes": CLASSES, "repeats": repeats}
    for stage, found in stages.items():
        emit("rerank", f"{items}", stage, statistics.median(found), "s", **common)
    emit("rerank", f"{items}", "total", statistics.median(totals), "s", **common)
    emit("rerank", f"{items}", "total_max", max(totals), "s", **common)


def run_refits(counts: tuple[int, ...], repeats: int) -> None:
    """A warm refit of the head after NEW_LABELS more labels, and one from nothing."""
    from models_zoo.head import fit_head

    keys = [f"class-{n}" for n in range(CLASSES)]
    for count in counts:
        rows = np.arange(count)
        features, targets = features_of(rows), rows % CLASSES
        before = fit_head(features[:-NEW_LABELS], targets[:-NEW_LABELS], keys)
        for case, init in (("warm", before), ("cold", None)):
            seconds = []
            for _ in range(repeats):
                started = time.perf_counter()
                fit_head(features, targets, keys, init=init)
                seconds.append(time.perf_counter() - started)
            emit("refit", case, f"{count}", statistics.median(seconds), "s", dim=DIM, classes=CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    run_rerank(options.items, options.labels, options.repeats)
    run_refits((1_000, 10_000), options.repeats)


if __name__ == "__main__":
    main()
