"""Job handlers and periodic tasks of this app: shells only."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.transfer import dry_run, exports, services, snapshots


@job_handler(services.KIND)
def run_import(run: JobRun) -> dict[str, Any]:
    return services.run_import(import_id=run.job.params["import"], run=run)


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
