"""How fast data comes in and goes out: `python -m benchmarks.transfer --case import_texts --items 100000`.

Starts the whole application on a temporary data folder and lets its own worker do the job, as people see it. Prints one
JSON object a line: seconds, rate, peak (MiB of the worker above nothing: its resident set), and the CPU seconds of the
worker and of the database, which tell more than seconds do on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.application import Application, emit

if TYPE_CHECKING:
    from annotator.projects.models import Project

WORDS = 40_000
PATIENCE = 1800.0


@dataclass
class Watch:
    """CPU seconds and the largest resident set of the application's processes, sampled while a block runs."""

    root: int
    peak: dict[str, int] = field(default_factory=dict)
    first: dict[int, tuple[str, float]] = field(default_factory=dict)
    last: dict[int, tuple[str, float]] = field(default_factory=dict)

    def __enter__(self) -> Watch:
        self._stop = threading.Event()
        self._sample(self.first)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample(self.last)

    def cpu(self, kind: str) -> float:
        """Seconds of processor that processes of a kind took meanwhile."""
        return sum(
            spent - self.first.get(pid, (name, 0.0))[1]
            for pid, (name, spent) in self.last.items()
            if name == kind
        )

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self._sample(self.last)

    def _sample(self, into: dict[int, tuple[str, float]]) -> None:
        for process in psutil.Process(self.root).children(recursive=True):
            try:
                kind, times = kind_of(process), process.cpu_times()
                into[process.pid] = (kind, times.user + times.system)
                self.peak[kind] = max(self.peak.get(kind, 0), process.memory_info().rss)
            except psutil.Error:
                continue


def kind_of(process: psutil.Process) -> str:
    """What a process of the application is."""
    line = " ".join(process.cmdline())
    if "postgres" in process.name() or "postgres" in line.split(" ")[0]:
        return "database"
    if "celery" in line and "--queues io " in line:
        return "worker"
    return "other"


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


def make_project(modality: str) -> Project:
    """An empty project whose loop stays still: encoding and training are measured elsewhere."""
    from annotator.accounts.models import User
    from annotator.learning.models import LearningSettings
    from annotator.projects.models import LabelClass, LabelSchema, Project

    owner = User.objects.create_user(f"owner-{modality}")
    project = Project.objects.create(name="Transfer", modality=modality, created_by=owner)
    schema = LabelSchema.objects.create(project=project, version=1)
    LabelClass.objects.bulk_create(
        LabelClass(schema=schema, key=key, name=key.title(), order=n)
        for n, key in enumerate(("positive", "negative"))
    )
    LearningSettings.objects.create(project=project, encoder="tfidf", seed=1, paused=True)
    return project


def import_texts(app: Application, items: int, *, words: int, seed: int) -> None:
    """From the start of the import until all rows are there to be labelled; then the same file again."""
    from django.core.files.base import File
    from django.core.files.uploadedfile import UploadedFile

    from annotator.items.models import Item
    from annotator.transfer import services

    project = make_project("text")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        write_texts(path, items, words=words, seed=seed)
        for case in ("import_texts", "import_texts_again"):
            with path.open("rb") as file:
                upload: UploadedFile[bytes] = UploadedFile(
                    File(file), name=path.name, size=path.stat().st_size
                )
                record = services.receive_files(project=project, user=None, files=[upload])
            options = services.look(record).options
            with Watch(app.child.pid) as watch:
                begun = time.perf_counter()
                job = services.start_import(record=record, options=options, user=None)
                wait_for(job, lambda: Item.objects.filter(project=project).count() == items)
                seconds = time.perf_counter() - begun
            report(case, seconds, items, watch, words=words)


def report(case: str, seconds: float, items: int, watch: Watch, **parameters: object) -> None:
    """The three metrics of every case, and what the processors did."""
    values = {"items": items, **parameters}
    emit("transfer", case, "seconds", seconds, "s", **values)
    emit("transfer", case, "rate", items / seconds, "1/s", **values)
    emit("transfer", case, "peak", watch.peak.get("worker", 0) / 2**20, "MiB", **values)
    for kind in ("worker", "database"):
        emit("transfer", case, f"cpu_{kind}", watch.cpu(kind), "s", **values)


def wait_for(job: object, there: Callable[[], bool]) -> None:
    """Until the job has ended and its result can be seen."""
    from annotator.jobs.models import Job

    assert isinstance(job, Job)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        job.refresh_from_db()
        if not job.active:
            assert job.state == Job.State.SUCCEEDED, job.error
            assert there(), "rows are missing"
            return
        time.sleep(0.05)
    raise TimeoutError("the job did not end")


CASES: dict[str, Callable[[Application, argparse.Namespace], None]] = {
    "import_texts": lambda app, args: import_texts(
        app, args.items or 100_000, words=args.words, seed=args.seed
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=list(CASES), action="append", help="default: all")
    parser.add_argument(
        "--items", type=int, default=0, help="how many; default: what the case is named after"
    )
    parser.add_argument("--words", type=int, default=40, help="words of a text")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    for case in args.case or list(CASES):
        with Application() as app:
            CASES[case](app, args)


if __name__ == "__main__":
    main()
