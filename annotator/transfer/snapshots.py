"""Snapshots: named versions of the data set, frozen once and never changed."""

from __future__ import annotations

import gzip
import io
import shutil
from collections import Counter
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, transaction

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, start_job
from annotator.projects.models import Project
from annotator.transfer.dataset import LiveDataset
from annotator.transfer.disk import nothing_half_written
from annotator.transfer.formats.parts import json_line
from annotator.transfer.models import Snapshot
from annotator.transfer.records import ExportItem
from annotator.transfer.selection import Selection

KIND = "snapshot"
LEVEL = 4
PIECE = 2**20


def create_snapshot(
    *, project: Project, name: str, selection: Selection, user: User | None, note: str = ""
) -> Snapshot:
    """Freeze the data set under a name of its own, in the background."""
    name = " ".join(name.split())
    if not name or len(name) > 100:
        raise Invalid("A snapshot needs a name of at most 100 characters.", code="bad_name")
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                project=project,
                name=name,
                note=note[:500],
                selection=selection.to_json(),
                created_by=user,
            )
            snapshot.job = start_job(
                kind=KIND,
                project_id=project.pk,
                created_by=user,
                params={"snapshot": snapshot.pk, "title": f"Snapshot “{name}”"},
            )
            snapshot.save(update_fields=["job"])
    except IntegrityError:
        raise Conflict(f"There is a snapshot “{name}” already.", code="name_taken") from None
    return snapshot


def run_snapshot(*, snapshot_id: int, run: JobRun) -> dict[str, Any]:
    """Write the snapshot's file; a run that is repeated begins anew."""
    snapshot = Snapshot.objects.select_related("project").get(pk=snapshot_id)
    if snapshot.ready:
        return dict(snapshot.counts)
    dataset = LiveDataset(snapshot.project, Selection.from_json(snapshot.selection))
    shutil.rmtree(snapshot.folder, ignore_errors=True)
    snapshot.folder.mkdir(parents=True)
    partial = snapshot.folder / f"partial-{run.job.attempts}"
    partial.mkdir()
    digest, counts, done = sha256(), Counter[str](), 0
    with nothing_half_written(partial):
        with (
            (partial / "records").open("wb") as raw,
            gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
            io.BufferedWriter(packed, PIECE) as file,
        ):
            file.write(json_line(dataset.header))
            for entry in dataset.entries(lambda n: run.progress(n, stage="Dividing")):
                file.write(entry.line)
                digest.update(entry.line)
                _count(counts, ExportItem.from_line(entry.line))
                done += 1
                if done % 1000 == 0:
                    run.progress(done, dataset.count, stage="Freezing")
        (partial / "records").replace(snapshot.path)
        partial.rmdir()
    snapshot.moment, snapshot.digest = dataset.header["moment"], digest.hexdigest()
    snapshot.counts, snapshot.size = dict(sorted(counts.items())), snapshot.path.stat().st_size
    snapshot.save(update_fields=["moment", "digest", "counts", "size"])
    run.progress(done, done, stage="Frozen", message=f"{done:,} items")
    return dict(snapshot.counts)


def delete_snapshot(*, snapshot: Snapshot, confirmation: str) -> None:
    """Delete it for good; `confirmation` must be its name. Exports made from it stay."""
    if confirmation.strip() != snapshot.name:
        raise Invalid("Type the snapshot's name to delete it.", code="not_confirmed")
    if snapshot.job and snapshot.job.state in (Job.State.QUEUED, Job.State.RUNNING):
        raise Conflict(
            "The snapshot is still being made.", code="snapshot_not_ready", hint="Cancel its job first."
        )
    folder = snapshot.folder
    snapshot.delete()
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def _count(counts: Counter[str], item: ExportItem) -> None:
    counts["items"] += 1
    counts["labelled"] += item.consensus is not None
    counts["answers"] += len(item.answers)
    if item.subset:
        counts[item.subset] += 1
