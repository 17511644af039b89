"""A run that was taken for lost, while it only was slow, changes nothing any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from annotator.jobs import services
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, run_job, start_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[JobRun], dict[str, Any]]], Job]:
    """Make a job that is done by the given function."""

    def make(handler: Callable[[JobRun], dict[str, Any]]) -> Job:
        monkeypatch.setitem(services._handlers, "slow", handler)
        return start_job(kind="slow", project_id=None, created_by=None)

    return make


def taken_over(job: Job) -> None:
    """What recovery and another worker do to a job that was silent."""
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, attempts=2, stage="second run")


def test_a_run_that_lost_its_job_ends_at_its_next_report(handle: Any) -> None:
    reached = []

    def slow(run: JobRun) -> dict[str, Any]:
        taken_over(run.job)
        try:
            run.progress(1, stage="first run")
        except Exception:  # noqa: BLE001 - what a handler of errors would do
            reached.append("a handler of errors")
        reached.append("the end")
        return {}

    job = handle(slow)
    run_job(job.pk)
    job.refresh_from_db()
    assert reached == []
    assert (job.state, job.attempts, job.stage) == (Job.State.RUNNING, 2, "second run")


def test_a_run_that_lost_its_job_does_not_end_it(handle: Any) -> None:
    def slow(run: JobRun) -> dict[str, Any]:
        taken_over(run.job)
        return {"by": "first run"}

    job = handle(slow)
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result, job.finished_at) == (Job.State.RUNNING, {}, None)


def test_the_heart_beats_on_after_the_database_was_away(handle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = []
    twice = threading.Event()

    def beat(job: Job) -> None:
        beats.append(job.pk)
        if len(beats) == 1:
            raise OperationalError("the connection is lost")
        twice.set()

    monkeypatch.setattr(services, "_beat", beat)
    monkeypatch.setattr(services, "HEARTBEAT_EVERY", 0.001)
    job = handle(lambda run: {"second beat": twice.wait(timeout=20)})
    run_job(job.pk)
    job.refresh_from_db()
    assert job.result == {"second beat": True}


def test_a_kind_of_job_has_one_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._handlers, "slow", lambda run: {})
    with pytest.raises(ValueError, match="handler already"):
        services.job_handler("slow")(lambda run: {})
