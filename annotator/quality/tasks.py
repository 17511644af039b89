"""Celery's entry to quality: shells only."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.projects.models import Project
from annotator.quality import services

PARTS = ("Reading the answers", "Judging them", "Counting people", "Finding disagreements")


@job_handler(services.REPORT_JOB)
def run_report(run: JobRun) -> dict[str, Any]:
    """Count a project's quality anew; safe to run again."""
    project = Project.objects.get(pk=run.job.project_id or 0)
    make_report = import_module("annotator.quality.report").make_report
    report = make_report(project, lambda done: run.progress(done, len(PARTS), stage=PARTS[done]))
    return {"answers": report.data["answers"]}


@shared_task(name="quality.renew_reports")
def renew_reports() -> int:
    return services.renew_reports()
