"""Celery's entry to learning: shells only. What needs torch is imported when a job runs, in a worker."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.learning import triggers


@job_handler(triggers.ROUND_JOB)
def run_round(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.rounds").run_round(run)
    return result


@job_handler(triggers.ENCODE_JOB)
def run_encoding(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.encode").run_encoding(run)
    return result


@job_handler(triggers.CHECKS_JOB)
def run_checks(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.checks").run_checks(run)
    return result


@shared_task(name="learning.start_due_rounds")
def start_due_rounds() -> int:
    return triggers.start_due_rounds()
