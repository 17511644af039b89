"""Job handlers and periodic tasks of this app: shells only."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery import shared_task
from kombu.exceptions import OperationalError

from annotator.celery import IO
from annotator.items import services as items
from annotator.jobs.services import JobRun, job_handler
from annotator.transfer import dry_run, exports, services, snapshots
from annotator.transfer.reading import BATCH_ROWS


@job_handler(services.KIND)
def run_import(run: JobRun) -> dict[str, Any]:
    counts = services.run_import(import_id=run.job.params["import"], run=run)
    if counts["created"] >= BATCH_ROWS:
        # The database does it some day too: an import does not fail for it.
        with suppress(OperationalError):
            file_words.apply_async(queue=IO)
    return counts


@shared_task(name="transfer.file_words")
def file_words() -> None:
    items.file_words()


@job_handler(dry_run.KIND)
def run_dry_run(run: JobRun) -> dict[str, Any]:
    return dry_run.run_dry_run(import_id=run.job.params["import"], run=run)


@shared_task(name="transfer.remove_old_files")
def remove_old_files() -> None:
    services.remove_old_files()


@job_handler(exports.KIND)
def run_export(run: JobRun) -> dict[str, Any]:
    return exports.run_export(export_id=run.job.params["export"], run=run)


@job_handler(snapshots.KIND)
def run_snapshot(run: JobRun) -> dict[str, Any]:
    return snapshots.run_snapshot(snapshot_id=run.job.params["snapshot"], run=run)
