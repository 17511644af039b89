"""Job handlers and periodic tasks of this app: shells only."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.transfer import dry_run, services


@job_handler(services.KIND)
def run_import(run: JobRun) -> dict[str, Any]:
    return services.run_import(import_id=run.job.params["import"], run=run)


@job_handler(dry_run.KIND)
def run_dry_run(run: JobRun) -> dict[str, Any]:
    return dry_run.run_dry_run(import_id=run.job.params["import"], run=run)


@shared_task(name="transfer.remove_old_files")
def remove_old_files() -> None:
    services.remove_old_files()
