"""Celery's entry to jobs: shells only."""

from __future__ import annotations

from celery import shared_task

from annotator.jobs import selectors, services


@shared_task(name="jobs.run")
def run(job_id: int) -> None:
    services.run_job(job_id)


@shared_task(name="jobs.recover_lost_jobs")
def recover_lost_jobs() -> int:
    selectors.note_worker_alive()
    return services.recover_lost_jobs()
