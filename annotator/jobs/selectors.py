"""What pages and programs see of background work."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from annotator import celery
from annotator.jobs.models import Job
from annotator.jobs.services import LOST_AFTER

SEEN_KEY = "jobs.worker_seen"
QUEUES = (celery.IO, celery.GPU, celery.PERIODIC)
SILENT_AFTER = timedelta(seconds=60)
TITLES = {
    "import": "Import",
    "dry_run": "Check before an import",
    "round": "Training round",
    "encode": "Encoding of items",
    "export": "Export",
    "backtest": "Backtest of strategies",
    "evidence": "Gathering evidence",
    "whatif": "Preview of another strategy",
    "replay": "Replay of a round",
    "offers": "Scoring of offered items",
    "snapshot": "Snapshot",
    "quality": "Quality report",
    "checks": "Search for labels to check",
}


@dataclass(frozen=True)
class WorkerState:
    """Whether background work is being done; `waiting` counts the jobs that wait for it, of all projects."""

    alive: bool
    last_seen: datetime | None
    waiting: int


def job_title(job: Job) -> str:
    """What the job is, for people."""
    given = job.params.get("title")
    return (
        given
        if isinstance(given, str) and given
        else TITLES.get(job.kind, job.kind.replace("_", " ").capitalize())
    )


def note_worker_alive() -> None:
    """Called by the periodic task that runs in the worker: beat, broker and worker are all there."""
    cache.set(SEEN_KEY, timezone.now(), timeout=None)


def note_queue_served(queue: str, **facts: Any) -> None:
    """Called by each worker's own clock, busy or not. `facts`: what else is worth knowing of it, such as GPUs."""
    cache.set(f"{SEEN_KEY}.{queue}", {"at": timezone.now(), **facts}, timeout=None)
    # For annotator.supervisor.probe: a plain number that goes by itself.
    cache.set(f"{SEEN_KEY}.{queue}.{socket.gethostname()}", 1, timeout=SILENT_AFTER.seconds)


def queues_served() -> dict[str, dict[str, Any] | None]:
    """For each queue when a worker was last seen (`at`) and what it said of itself; None: never."""
    found = cache.get_many([f"{SEEN_KEY}.{queue}" for queue in QUEUES])
    return {queue: found.get(f"{SEEN_KEY}.{queue}") for queue in QUEUES}


def worker_state() -> WorkerState:
    """Judged by what workers did, without asking them: a busy worker is alive, one never seen is missed only when
    something waits for it."""
    now = timezone.now()
    last_seen: datetime | None = cache.get(SEEN_KEY)
    if last_seen is not None and now - last_seen < SILENT_AFTER:
        return WorkerState(alive=True, last_seen=last_seen, waiting=0)
    busy = Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__gt=now - LOST_AFTER).exists()
    waiting = Job.objects.filter(state=Job.State.QUEUED, created_at__lt=now - LOST_AFTER).count()
    return WorkerState(
        alive=busy or (last_seen is None and not waiting), last_seen=last_seen, waiting=waiting
    )
