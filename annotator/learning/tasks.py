"""Celery's entry to learning: shells only. What needs torch is imported when a job runs, in a worker."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.learning import evidence, lab, offers, replayable, triggers, whatif


@job_handler(triggers.ROUND_JOB)
def run_round(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.rounds").run_round(run)
    return result


@job_handler(triggers.ENCODE_JOB)
def run_encoding(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.encode").run_encoding(run)
    return result


@job_handler(lab.BACKTEST_JOB)
def run_backtest(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.lab_run").run_backtest(run)
    return result


@job_handler(evidence.EVIDENCE_JOB)
def run_evidence(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.evidence_run").run_evidence(run)
    return result


@job_handler(whatif.WHATIF_JOB)
def run_whatif(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.whatif_run").run_whatif(run)
    return result


@job_handler(replayable.REPLAY_JOB)
def run_replay(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.whatif_run").run_replay(run)
    return result


@job_handler(offers.OFFERS_JOB)
def score_offers(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.score_offers").score_offers(run)
    return result


@job_handler(triggers.CHECKS_JOB)
def run_checks(run: JobRun) -> dict[str, Any]:
    result: dict[str, Any] = import_module("annotator.learning.checks").run_checks(run)
    return result


@shared_task(name="learning.start_due_rounds")
def start_due_rounds() -> int:
    offers.start_waiting()
    return triggers.start_due_rounds()
