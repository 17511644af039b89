"""Data in and out, by the real application: `python -m benchmarks.transfer --cases export_100k`.

Each case is one job of a worker on a project of its own: `seconds` from asking to rows or files that are there, `rate` in items
a second, `peak` MiB of the worker that did it, `cpu` seconds of that worker and of the database together.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from PIL import Image

from benchmarks.application import PATIENCE, Application, emit
from benchmarks.synthetic import CLASSES

if TYPE_CHECKING:
    from annotator.projects.models import Project

LABELLED = 10  # every tenth item has two answers, as in a project that learns
WORDS = 40_000
MADE = "2026-01-01T00:00:00Z"


@dataclass
class Measured:
    """What happened between the beginning and the end of a case."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    items: int = 0
    others: dict[str, tuple[float, str]] = field(default_factory=dict)


def workers(app: Application, queue: str) -> list[psutil.Process]:
    """Processes of the worker of this queue."""
    heads = []
    for process in psutil.Process(app.child.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if "celery" in line and f" {queue}" in line:
                heads.append(process)
    return list({p.pid: p for head in heads for p in (head, *head.children(recursive=True))}.values())


def servers(app: Application) -> list[psutil.Process]:
    """Processes of the database."""
    found = []
    for process in psutil.Process(app.child.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "postgres" in process.name():
                found.append(process)
    return found


def peak_of(process: psutil.Process) -> float:
    """MiB that the process held at most since it began."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def cpu_of(processes: list[psutil.Process]) -> float:
    """CPU seconds of these processes and of those of theirs that ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def measured(app: Application, queue: str = "io") -> Iterator[Measured]:
    """Clocks and memory around one job."""
    result, before = Measured(), cpu_of([*workers(app, queue), *servers(app)])
    started = time.perf_counter()
    yield result
    result.seconds = time.perf_counter() - started
    result.cpu = cpu_of([*workers(app, queue), *servers(app)]) - before
    result.peak = max(map(peak_of, workers(app, queue)), default=0.0)


def wait_for(job_id: int) -> None:
    from annotator.jobs.models import Job

    end = time.monotonic() + 10 * PATIENCE
    while (job := Job.objects.get(pk=job_id)).active:
        if time.monotonic() > end:
            raise SystemExit("The job took too long.")
        time.sleep(0.02)
    if job.state != Job.State.SUCCEEDED:
        raise SystemExit(f"The job failed: {job.error}")


def labelled_project(items: int, *, modality: str = "text") -> Project:
    """Texts with a label for every tenth by each of two people, written by COPY."""
    from django.db import connection

    from annotator.accounts.models import User
    from annotator.learning.models import LearningSettings
    from annotator.projects.models import LabelClass, LabelSchema, Project

    owner, _ = User.objects.get_or_create(username="owner")
    other, _ = User.objects.get_or_create(username="other")
    project = Project.objects.create(name=f"Transfer {items}", modality=modality, created_by=owner, overlap=2)
    schema = LabelSchema.objects.create(project=project, version=1)
    LabelClass.objects.bulk_create(
        LabelClass(schema=schema, key=f"class-{n}", name=f"Class {n}", order=n) for n in range(CLASSES)
    )
    LearningSettings.objects.create(
        project=project, encoder="minilm" if modality == "text" else "pixels", seed=1, paused=True
    )
    Project.reserve_rows(project.pk, items)
    if items:
        with connection.cursor() as cursor:
            # Most of the time of filling the table, none of an export's.
            cursor.execute("DROP INDEX item_search")
    columns = "project_id, row, external_id, text, content_hash, split, meta, created_at"
    with connection.cursor() as cursor, cursor.copy(f"COPY items_item ({columns}) FROM STDIN") as copy:
        for row in range(items):
            text = f"Synthetic text number {row}, about as long as a short sentence is."
            values = (project.pk, row, f"text-{row}", text, f"{row:064x}", "pool", "{}", MADE)
            copy.write_row(values)
    served = '{"strategy": {"key": "margin", "version": 1}, "rank": 3, "utility": 0.25, "propensity": 0.5}'
    suggestion = '{"model": 3, "classes": {"class-1": 0.75, "class-2": 0.25}}'
    columns = (
        "id, project_id, item_id, annotator_id, schema_id, state, current, revision, regions, seconds, served, "
        "suggestion, created_at"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row, id FROM items_item WHERE project_id = %s AND row %% %s = 0", [project.pk, LABELLED]
        )
        ids = cursor.fetchall()
        with cursor.copy(f"COPY labeling_annotation ({columns}) FROM STDIN") as copy:
            for row, item in ids:
                regions = f'[{{"kind": "choice", "classes": ["class-{row % CLASSES}"]}}]'
                for person in (owner, other):
                    answer = (uuid.uuid4(), project.pk, item, person.pk, schema.pk, "submitted", True, 1)
                    copy.write_row((*answer, regions, 2.5, served, suggestion, MADE))
        cursor.execute("VACUUM ANALYZE items_item")
        cursor.execute("VACUUM ANALYZE labeling_annotation")
    return project


def export(app: Application, items: int) -> Measured:
    """Everything about every item, as native archive."""
    from annotator.transfer.exports import create_export

    project = labelled_project(items)
    with measured(app) as result:
        made = create_export(project=project, format_key="native", user=None)
        wait_for(made.job_id or 0)
    made.refresh_from_db()
    result.items = int(made.manifest["counts"]["records"])
    result.others["size"] = (made.files[0]["size"] / 2**20, "MiB")
    return result


def write_texts(path: Path, count: int, *, words: int, seed: int) -> None:
    """A CSV of distinct texts with a vocabulary like that of people: few words are common, most are rare."""
    rng = random.Random(seed)
    vocabulary = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(WORDS)
    ]
    weights = [1 / (n + 2) for n in range(WORDS)]
    drawn = iter(rng.choices(vocabulary, weights, k=count * words))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for n in range(count):
            writer.writerow(
                [n, " ".join(next(drawn) for _ in range(words)), "positive" if n % 2 else "negative"]
            )


def import_texts(app: Application, items: int) -> Measured:
    """From the start of an import of a CSV until all its rows are there to be labelled."""
    from django.core.files.base import File
    from django.core.files.uploadedfile import UploadedFile

    from annotator.items.models import Item
    from annotator.transfer import services

    project = labelled_project(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        write_texts(path, items, words=40, seed=7)
        with path.open("rb") as file:
            upload: UploadedFile[bytes] = UploadedFile(File(file), name=path.name, size=path.stat().st_size)
            record = services.receive_files(project=project, user=None, files=[upload])
        options = services.look(record).options
        with measured(app) as result:
            wait_for(services.start_import(record=record, options=options, user=None).pk)
    result.items = Item.objects.filter(project=project).count()
    if result.items != items:
        raise SystemExit(f"{result.items} of {items} rows came in.")
    return result


def import_images(app: Application, items: int) -> Measured:
    """From the start of an import of a zip of photos-sized JPEGs until all are there to be labelled."""
    from django.core.files.base import File
    from django.core.files.uploadedfile import UploadedFile

    from annotator.items.models import Item
    from annotator.transfer import services

    project = labelled_project(0, modality="image")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.zip"
        write_images(path, items)
        with path.open("rb") as file:
            upload: UploadedFile[bytes] = UploadedFile(File(file), name=path.name, size=path.stat().st_size)
            record = services.receive_files(project=project, user=None, files=[upload])
        options = services.look(record).options
        with measured(app) as result:
            wait_for(services.start_import(record=record, options=options, user=None).pk)
    result.items = Item.objects.filter(project=project).count()
    if result.items != items:
        raise SystemExit(f"{result.items} of {items} images came in.")
    return result


def write_images(path: Path, count: int) -> None:
    """Distinct JPEGs of 640 x 480 pixels, as smooth and as noisy as photos are."""
    rng = np.random.default_rng(7)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for n in range(count):
            coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
            pixels = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(np.int16)
            pixels += rng.integers(-6, 7, (480, 640, 1), dtype=np.int16)
            out = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
            archive.writestr(f"class-{n % CLASSES}/{n}.jpg", out.getvalue())


def encode_texts(app: Application, items: int) -> Measured:
    """Features of texts that are there already, by the default encoder."""
    from annotator.learning.triggers import start_encoding

    project = labelled_project(items)
    with measured(app, "gpu") as result:
        job = start_encoding(project.pk)
        assert job is not None
        wait_for(job.pk)
    result.items = items
    return result


CASES: Mapping[str, Callable[[Application], Measured]] = {
    "import_texts": lambda app: import_texts(app, 100_000),
    "import_images": lambda app: import_images(app, 2_000),
    "encode_texts": lambda app: encode_texts(app, 2_000),
    "export_100k": lambda app: export(app, 100_000),
    "export_1m": lambda app: export(app, 1_000_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    cases = parser.parse_args().cases.split(",")
    if len(cases) == 1:
        run(cases[0])
        return
    for case in cases:
        # A process and an application each: what one case left in memory is no part of another's peak.
        subprocess.run([sys.executable, "-m", "benchmarks.transfer", "--cases", case], check=True)


def run(case: str) -> None:
    """One case, and what came of it."""
    with Application() as app:
        found = CASES[case](app)
    parameters = {"items": found.items, "cores": os.cpu_count()}
    emit("transfer", case, "seconds", found.seconds, "s", **parameters)
    emit("transfer", case, "rate", found.items / found.seconds, "1/s", **parameters)
    emit("transfer", case, "peak", found.peak, "MiB", **parameters)
    emit("transfer", case, "cpu", found.cpu, "s", **parameters)
    for metric, (value, unit) in found.others.items():
        emit("transfer", case, metric, value, unit, **parameters)


if __name__ == "__main__":
    main()
