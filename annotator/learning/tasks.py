"""Celery's entry to learning: shells only. What needs torch is imported when a job runs, in a worker."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from celery import shared_task

from annotator.jobs.services import JobRun, job_handler
from annotator.learning import evidence, lab, offers, replayable, triggers, whatif

# Kind of job: the function that does it.
HANDLERS = {
    triggers.ROUND_JOB: "rounds.run_round",
    triggers.ENCODE_JOB: "encode.run_encoding",
    lab.BACKTEST_JOB: "lab_run.run_backtest",
    evidence.EVIDENCE_JOB: "evidence_run.run_evidence",
    whatif.WHATIF_JOB: "whatif_run.run_whatif",
    replayable.REPLAY_JOB: "whatif_run.run_replay",
    offers.OFFERS_JOB: "score_offers.score_offers",
    triggers.CHECKS_JOB: "checks.run_checks",
}


def _imported_when_it_runs(path: str) -> Callable[[JobRun], dict[str, Any]]:
    module, name = path.split(".")

    def handle(run: JobRun) -> dict[str, Any]:
        result: dict[str, Any] = getattr(import_module(f"annotator.learning.{module}"), name)(run)
        return result

    return handle


for _kind, _path in HANDLERS.items():
    job_handler(_kind)(_imported_when_it_runs(_path))


@shared_task(name="learning.start_due_rounds")
def start_due_rounds() -> int:
    offers.start_waiting()
    return triggers.start_due_rounds()
