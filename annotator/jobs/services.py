"""Jobs: started after commit, claimed by a conditional update, watched, cancelled, recovered."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from annotator.accounts.models import User
from annotator.celery import app as celery_app
from annotator.common.errors import AnnotatorError, Conflict
from annotator.common.events import send_event
from annotator.hooks.models import Kind
from annotator.hooks.outbox import note
from annotator.jobs.broker import messages_waiting
from annotator.jobs.models import Job, JobQuerySet

logger = logging.getLogger(__name__)

PROGRESS_EVERY = 1.0  # seconds between writes of progress
HEARTBEAT_EVERY = 3.0  # seconds between signs of life, which do not depend on progress
LOST_AFTER = timedelta(seconds=20)  # a running job silent for so long lost its worker
MAX_ATTEMPTS = 3
# Kinds of jobs whose end is an event of its own, besides the one that all jobs have.
TOLD = {"import": Kind.IMPORT, "export": Kind.EXPORT}

Handler = Callable[["JobRun"], dict[str, Any] | None]
_handlers: dict[str, Handler] = {}


class JobCancelled(Exception):
    """Raised inside a job when a person asked to stop it."""


def job_handler(kind: str) -> Callable[[Handler], Handler]:
    """Register the one function that does jobs of `kind`; it must be safe to run again from the start."""

    def register(handler: Handler) -> Handler:
        if kind in _handlers:
            raise ValueError(f"Jobs of kind '{kind}' have a handler already.")
        _handlers[kind] = handler
        return handler

    return register


class JobLost(BaseException):
    """Raised inside a run whose job was given to another worker. No handler of errors must see it: nothing is theirs."""


class JobRun:
    """What a running job may do: report progress and learn that it should stop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._written = 0.0

    def progress(self, done: int, total: int | None = None, *, stage: str = "", message: str = "") -> None:
        """Report progress; writes at most once a second, raises JobCancelled when cancelled."""
        job = self.job
        changed = (stage and stage != job.stage) or (message and message != job.message)
        job.done, job.total = done, total if total is not None else job.total
        job.stage, job.message = stage or job.stage, message or job.message
        now = time.monotonic()
        if changed or now - self._written >= PROGRESS_EVERY or done == job.total:
            self._written = now
            self._write()

    def should_stop(self) -> bool:
        """Whether a person asked to stop, looked up at most once a second."""
        now = time.monotonic()
        if now - self._written >= PROGRESS_EVERY:
            self._written = now
            self._write(raise_when_cancelled=False)
        return self.job.cancel_requested

    def _write(self, *, raise_when_cancelled: bool = True) -> None:
        job = self.job
        if not _this_run(job).update(
            stage=job.stage, message=job.message, done=job.done, total=job.total, heartbeat_at=timezone.now()
        ):
            raise JobLost
        job.cancel_requested = Job.objects.values_list("cancel_requested", flat=True).get(pk=job.pk)
        _announce(job)
        if job.cancel_requested and raise_when_cancelled:
            raise JobCancelled


def start_job(
    *,
    kind: str,
    project_id: int | None,
    created_by: User | None,
    queue: str = "io",
    params: dict[str, Any] | None = None,
) -> Job:
    """Create a job and hand it to a worker once the transaction is committed."""
    job = Job.objects.create(
        kind=kind, project_id=project_id, created_by=created_by, queue=queue, params=params or {}
    )
    # A broker that is away loses nothing: the job waits in the database and is recovered.
    transaction.on_commit(lambda: _enqueue(job), robust=True)
    _announce(job)
    return job


def run_job(job_id: int) -> None:
    """Do a queued job once: whoever claims the row runs it, everybody else returns."""
    claimed = Job.objects.filter(pk=job_id, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        attempts=F("attempts") + 1,
    )
    if not claimed:
        return
    job = Job.objects.get(pk=job_id)
    if job.cancel_requested:
        _finish(job, Job.State.CANCELLED)
        return
    _announce(job)
    try:
        with _heart(job):
            result = _handlers[job.kind](JobRun(job))
    except JobLost:
        logger.warning("Job %s (%s) was given to another worker; this run ends", job.pk, job.kind)
    except JobCancelled:
        _finish(job, Job.State.CANCELLED)
    except AnnotatorError as error:
        _finish(job, Job.State.FAILED, error=" ".join(filter(None, [error.message, error.hint])))
    except Exception as error:
        _finish(job, Job.State.FAILED, error=f"{type(error).__name__}: {error}")
        logger.error("Job %s (%s) failed\n%s", job.pk, job.kind, traceback.format_exc())
        raise
    else:
        _finish(job, Job.State.SUCCEEDED, result=result or {})


def cancel_job(*, job: Job) -> None:
    """Ask a job to stop. A waiting one stops at once, a running one at its next report."""
    if not job.active:
        raise Conflict("This job has already ended.", code="job_ended")
    Job.objects.filter(pk=job.pk).update(cancel_requested=True)
    waiting = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    with transaction.atomic():
        if waiting.update(state=Job.State.CANCELLED, finished_at=timezone.now()):
            job.refresh_from_db()
            _tell(job)
            _announce(job)


def recover_lost_jobs() -> int:
    """Put jobs whose worker died, or whose message was lost, back into their queue; fail them after three tries.

    A job that waits behind others is not sent again: only as many are as the broker holds too few messages.
    """
    silent = timezone.now() - LOST_AFTER
    dead = Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__lt=silent)
    count = 0
    for job in dead:
        if job.attempts >= MAX_ATTEMPTS:
            _finish(
                job, Job.State.FAILED, error="The worker was lost three times, perhaps for want of memory."
            )
            continue
        same = Job.objects.filter(pk=job.pk, state=job.state, heartbeat_at=job.heartbeat_at)
        if same.update(state=Job.State.QUEUED, heartbeat_at=timezone.now()):
            _enqueue(job)
            count += 1
    return count + _send_lost_messages(silent)


def _send_lost_messages(silent: datetime) -> int:
    """Send the longest waiting jobs again, so that each queue holds a message for every job that waits."""
    waiting = Job.objects.filter(state=Job.State.QUEUED)
    overdue = waiting.filter(
        Q(created_at__lt=silent, heartbeat_at=None) | Q(heartbeat_at__lt=silent)
    ).order_by("pk")
    count = 0
    for queue in sorted(set(overdue.values_list("queue", flat=True))):
        missing = waiting.filter(queue=queue).count() - messages_waiting(queue)
        for job in overdue.filter(queue=queue)[: max(missing, 0)]:
            Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(heartbeat_at=timezone.now())
            _enqueue(job)
            count += 1
    return count


def _this_run(job: Job) -> JobQuerySet:
    """The job's row while it is this run's: a run that was taken for lost must change nothing any more."""
    return Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, attempts=job.attempts)


@contextmanager
def _heart(job: Job) -> Iterator[None]:
    """Beat in a thread of its own, so that a long step in compiled code is not taken for a lost worker."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_EVERY):
            try:
                _beat(job)
            except DatabaseError:
                # A database that is away for a moment must not end the beating: the job would be taken for lost.
                connection.close()
        connection.close()

    thread = threading.Thread(target=beat, name=f"heart-{job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(job: Job) -> None:
    _this_run(job).update(heartbeat_at=timezone.now())


def _enqueue(job: Job) -> None:
    celery_app.send_task("jobs.run", args=[job.pk], queue=job.queue)


def _finish(job: Job, state: str, *, error: str = "", result: dict[str, Any] | None = None) -> None:
    if not connection.in_atomic_block:
        close_old_connections()
    mine = _this_run(job)
    job.state, job.error, job.result, job.finished_at = state, error, result or {}, timezone.now()
    if state == Job.State.SUCCEEDED and job.total is not None:
        job.done = job.total
    names = ("state", "error", "result", "finished_at", "done")
    with transaction.atomic():
        if mine.update(**{name: getattr(job, name) for name in names}):
            _tell(job)
            _announce(job)


def _tell(job: Job) -> None:
    """The outbox hears of the job's end, in the transaction that ends it."""
    if not job.project_id:
        return
    names = ("kind", "state", "error", "result", "created_at", "finished_at")
    payload = {"job": job.pk, **{name: getattr(job, name) for name in names}}
    note(project_id=job.project_id, kind=Kind.JOB, payload=payload)
    own = TOLD.get(job.kind)
    if own and (own != Kind.EXPORT or job.state == Job.State.SUCCEEDED):
        note(project_id=job.project_id, kind=own, payload=payload)


def _announce(job: Job) -> None:
    if job.project_id:
        send_event(job.project_id, "job", id=job.pk, kind=job.kind, state=job.state, share=job.share)
