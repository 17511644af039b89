"""From the last needed label to the new queue: `python -m benchmarks.rerank --items 100000`.

Starts the whole application on a temporary data folder; a project of synthetic items has its features (D=384, C=10) in
place. Some labels arrive, a round becomes due as it does after an answer, and a worker of the application does it. `total`
ends when the new queue is served; one metric for each step comes from the round's own record. Then refits of the head.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.application import PATIENCE, Application, emit

if TYPE_CHECKING:
    from annotator.projects.models import Project

DIM, CLASSES, NEW_LABELS = 384, 10, 20
CENTRES = np.random.default_rng(0).normal(0, 1, (CLASSES, DIM)).astype(np.float32)
SHARD = 65_536
DIGEST = "b" * 64


def features_of(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Unit vectors around a centre for each class; class = row % CLASSES."""
    rng = np.random.default_rng(int(rows[0]))
    noisy = CENTRES[rows % CLASSES] + rng.normal(0, 4, (len(rows), DIM)).astype(np.float32)
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), dtype=np.float32)


def make_project(items: int) -> Project:
    """The project with its items and features, by COPY."""
    from django.db import connection, transaction

    from annotator.accounts.models import User
    from annotator.items.features import make_store
    from annotator.learning.models import Encoding, LearningSettings
    from annotator.projects.models import LabelClass, LabelSchema, Project

    with transaction.atomic():
        owner = User.objects.create_user("owner")
        project = Project.objects.create(name="Rerank", modality="text", created_by=owner)
        schema = LabelSchema.objects.create(project=project, version=1)
        LabelClass.objects.bulk_create(
            LabelClass(schema=schema, key=f"class-{n}", name=f"Class {n}", order=n) for n in range(CLASSES)
        )
        # No round begins but those that are measured.
        LearningSettings.objects.create(
            project=project, encoder="minilm", seed=1, retrain_labels=NEW_LABELS, paused=True
        )
        Project.reserve_rows(project.pk, items)
        columns = "project_id, row, external_id, text, content_hash, split, meta, created_at"
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP INDEX item_search"
            )  # most of the time of filling the table, none of a round's
        with connection.cursor() as cursor, cursor.copy(f"COPY items_item ({columns}) FROM STDIN") as copy:
            for row in range(items):
                text = f"Synthetic text number {row}, about as long as a short sentence is."
                copy.write_row(
                    (
                        project.pk,
                        row,
                        f"text-{row}",
                        text,
                        f"{row:064x}",
                        "pool",
                        "{}",
                        "2026-01-01T00:00:00Z",
                    )
                )
    store = make_store(project.pk, DIGEST, DIM)
    for start in range(0, items, SHARD):
        rows = np.arange(start, min(start + SHARD, items))
        store.write(rows, features_of(rows))
    Encoding.objects.create(project=project, encoder="minilm", params={}, digest=DIGEST, dim=DIM)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE items_item")
    return project


def add_labels(project: Project, rows: np.ndarray[Any, Any], seed: int) -> None:
    """True answers by one person; every tenth was an exploration draw."""
    from django.db import connection
    from django.utils import timezone

    from annotator.items.models import Item
    from annotator.projects.models import LabelSchema

    schema = LabelSchema.objects.get(project=project)
    ids = dict(Item.objects.filter(project=project, row__in=rows.tolist()).values_list("row", "pk"))
    columns = "id, project_id, item_id, annotator_id, schema_id, state, current, revision, regions, served, created_at"
    rng = np.random.default_rng(seed)
    now = timezone.now()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY labeling_annotation ({columns}) FROM STDIN") as copy,
    ):
        for place, row in enumerate(rows.tolist()):
            served = '{"exploration": true}' if place % 10 == 0 else "{}"
            regions = f'[{{"kind": "choice", "classes": ["class-{row % CLASSES}"]}}]'
            key = uuid.UUID(bytes=rng.bytes(16), version=4)
            copy.write_row(
                (
                    key,
                    project.pk,
                    ids[row],
                    project.created_by_id,
                    schema.pk,
                    "submitted",
                    True,
                    1,
                    regions,
                    served,
                    now,
                )
            )


def labelled_rows(project: Project, count: int, items: int) -> np.ndarray[Any, Any]:
    """Rows to label: the exploration stream first (a tenth of them), then any."""
    from acquisition.compose import exploration_order

    first = exploration_order(1, np.arange(items), count // 10)
    others = np.setdiff1d(np.random.default_rng(2).permutation(items)[: 2 * count], first)
    rest = np.random.default_rng(3).permutation(others)[: count - len(first)]
    mixed = np.empty(len(first) + len(rest), dtype=np.int64)
    places = np.arange(len(mixed)) % 10 == 0
    mixed[np.flatnonzero(places)[: len(first)]] = first
    left = np.ones(len(mixed), dtype=bool)
    left[np.flatnonzero(places)[: len(first)]] = False
    mixed[left] = rest
    return mixed


def measure_round(project: Project) -> tuple[float, dict[str, float]]:
    """Seconds from the answer's question 'is a round due?' to the new queue, and the round's own timings."""
    from annotator.learning.models import LearningSettings, Round
    from annotator.learning.services import start_round_if_due
    from annotator.projects.models import Project as Projects

    LearningSettings.objects.filter(project=project).update(paused=False)
    before = Projects.objects.values_list("queue_start", "queue_end").get(pk=project.pk)
    started = time.perf_counter()
    round_ = start_round_if_due(project.pk)
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
