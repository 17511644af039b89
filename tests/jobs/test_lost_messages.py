"""Jobs that wait are sent again only when their message is gone: nothing piles up in the broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from annotator.celery import app
from annotator.jobs import services
from annotator.jobs.broker import messages_waiting
from annotator.jobs.models import Job
from annotator.jobs.services import recover_lost_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_queues() -> Iterator[None]:
    app.control.purge()
    yield
    app.control.purge()


def waiting_job(*, queue: str = "io", minutes: float = 5) -> Job:
    job = Job.objects.create(kind="import", queue=queue)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=minutes))
    return job


def later() -> None:
    """Let everything that waits be overdue again."""
    Job.objects.filter(state="queued").exclude(heartbeat_at=None).update(
        heartbeat_at=timezone.now() - timedelta(minutes=1)
    )


def test_a_lost_message_is_sent_once_and_then_waits_its_turn() -> None:
    for _ in range(3):
        waiting_job()
    assert recover_lost_jobs() == 3
    assert messages_waiting("io") == 3
    for _ in range(5):
        later()
        assert recover_lost_jobs() == 0
    assert messages_waiting("io") == 3


def test_only_as_many_as_are_missing_are_sent_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [waiting_job() for _ in range(3)]
    services._enqueue(jobs[2])
    services._enqueue(jobs[2])
    sent: list[int] = []
    monkeypatch.setattr(services, "_enqueue", lambda job: sent.append(job.pk))
    assert recover_lost_jobs() == 1
    assert sent == [jobs[0].pk]


def test_queues_are_counted_apart() -> None:
    waiting_job(queue="gpu")
    for _ in range(2):
        services._enqueue(waiting_job(queue="io"))
    assert recover_lost_jobs() == 1
    assert messages_waiting("gpu") == 1
    assert messages_waiting("io") == 2


def test_a_job_that_has_just_come_is_left_alone() -> None:
    waiting_job(minutes=0)
    assert recover_lost_jobs() == 0


def test_a_lost_worker_is_answered_at_once_whatever_waits() -> None:
    services._enqueue(waiting_job())
    dead = Job.objects.create(
        kind="import", state="running", attempts=1, heartbeat_at=timezone.now() - timedelta(minutes=1)
    )
    assert recover_lost_jobs() == 1
    dead.refresh_from_db()
    assert dead.state == Job.State.QUEUED
    assert messages_waiting("io") == 2
