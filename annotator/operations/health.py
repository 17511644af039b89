"""Whether the application can do its work: each finding has a state, one sentence, and what to do about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from redis.exceptions import RedisError

from annotator.jobs.models import Job
from annotator.jobs.selectors import SILENT_AFTER, queues_served
from annotator.jobs.services import LOST_AFTER

GOOD, WARNING, BAD = "good", "warning", "bad"
LEAST_FREE = 512 * 2**20  # bytes; PostgreSQL stops for good on a full disk
LITTLE_FREE = 5 * 2**30
LONGEST_WAIT = timedelta(minutes=30)
MANY_WAITING = 200
KEPT_SECONDS = 2.0  # however often a load balancer asks


@dataclass(frozen=True)
class Finding:
    """`key` is stable; `state` is good, warning or bad; `advice` is empty when there is nothing to do."""

    key: str
    state: str
    sentence: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def migration_state() -> tuple[list[str], list[str]]:
    """(migrations this release has and the database lacks, migrations of the database this release does not know)."""
    loader = MigrationLoader(connection)
    applied = set(loader.applied_migrations or ())
    known = set(loader.disk_migrations or ())
    replaced = {each for migration in (loader.disk_migrations or {}).values() for each in migration.replaces}
    return _names(set(loader.graph.nodes) - applied), _names(applied - known - replaced)


def database() -> Finding:
    try:
        missing, unknown = migration_state()
    except DatabaseError as error:
        return Finding(
            "database",
            BAD,
            f"The database does not answer: {_first_line(error)}",
            "Start PostgreSQL, or correct DATABASE_URL.",
        )
    if missing:
        return Finding(
            "database",
            BAD,
            f"The database lacks {len(missing)} changes of this release, first {missing[0]}.",
            "Run 'python manage.py migrate', or restart the application, which does.",
        )
    if unknown:
        return Finding(
            "database",
            BAD,
            f"The database belongs to a newer release: {unknown[0]} is unknown to this one.",
            "Install the newer release, or restore the backup made before the upgrade.",
        )
    return Finding("database", GOOD, "The database answers and is up to date.")


def redis() -> Finding:
    try:
        cache.set("operations.probe", 1, 60)
        if cache.get("operations.probe") == 1:
            return Finding("redis", GOOD, "Redis answers.")
        problem = "what was written is gone at once"
    except (RedisError, OSError) as error:
        problem = _first_line(error)
    return Finding(
        "redis", BAD, f"Redis does not answer as it should: {problem}", "Start Redis, or correct REDIS_URL."
    )


def workers() -> list[Finding]:
    """One for each queue: somebody must have served it within the last minute."""
    try:
        served = queues_served()
    except (RedisError, OSError):
        return [
            Finding("workers", BAD, "Without Redis nothing is known of the workers.", "Start Redis first.")
        ]
    found = []
    for queue, seen in served.items():
        key, now = f"worker_{queue}", timezone.now()
        advice = f"Start the worker of the queue {queue} and read its log."
        if seen is None:
            found.append(Finding(key, BAD, f"No worker has served the queue {queue} yet.", advice))
        elif now - seen["at"] >= SILENT_AFTER:
            ago = (now - seen["at"]).total_seconds()
            found.append(
                Finding(
                    key, BAD, f"The worker of the queue {queue} was last seen {in_words(ago)} ago.", advice
                )
            )
        else:
            found.append(Finding(key, GOOD, f"A worker serves the queue {queue}."))
    return found


def disk() -> Finding:
    home = Path(settings.HOME)
    try:
        usage = shutil.disk_usage(home)
    except OSError as error:
        return Finding(
            "disk", BAD, f"The data folder cannot be read: {error.strerror}.", "Correct ANNOTATOR_HOME."
        )
    sentence = f"{in_bytes(usage.free)} of {in_bytes(usage.total)} are free where the data lies."
    advice = "Make room: remove old backups, or move ANNOTATOR_HOME to a larger disk."
    if usage.free < LEAST_FREE:
        return Finding("disk", BAD, sentence, advice)
    if usage.free < LITTLE_FREE:
        return Finding("disk", WARNING, sentence, advice)
    return Finding("disk", GOOD, sentence)


def backlog() -> Finding:
    try:
        waiting = Job.objects.filter(state=Job.State.QUEUED)
        count = waiting.count()
        oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
        busy = Job.objects.filter(
            state=Job.State.RUNNING, heartbeat_at__gt=timezone.now() - LOST_AFTER
        ).count()
    except DatabaseError:
        return Finding(
            "backlog", BAD, "Without the database nothing is known of jobs.", "Start PostgreSQL first."
        )
    age = timezone.now() - oldest if oldest else timedelta(0)
    sentence = f"{count} jobs wait, {busy} run."
    if oldest:
        sentence = f"{count} jobs wait, the oldest for {in_words(age.total_seconds())}; {busy} run."
    if count > MANY_WAITING or age > LONGEST_WAIT:
        return Finding("backlog", WARNING, sentence, "Start more workers, or cancel jobs that nobody needs.")
    return Finding("backlog", GOOD, sentence)


def readiness() -> list[Finding]:
    """Everything a load balancer wants to know, computed at most every two seconds in each process."""
    at, kept = _kept
    if kept and time.monotonic() - at < KEPT_SECONDS:
        return kept
    checks: tuple[Callable[[], Finding], ...] = (database, redis, disk, backlog)
    found = [*(check() for check in checks), *workers()]
    _keep(found)
    return found


def is_ready(findings: list[Finding]) -> bool:
    return all(finding.state != BAD for finding in findings)


def in_words(seconds: float) -> str:
    """93.0 -> '2 minutes'."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size or size == 1:
            count = max(0, round(seconds / size))
            return f"{count} {name}{'' if count == 1 else 's'}"
    raise AssertionError("every number of seconds fits one of the units")


def in_bytes(count: float) -> str:
    """1572864 -> '1.5 MiB'."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


_kept: tuple[float, list[Finding]] = (0.0, [])


def _keep(findings: list[Finding]) -> None:
    global _kept
    _kept = (time.monotonic(), findings)


def _names(nodes: set[Any]) -> list[str]:
    return sorted(f"{app}.{name}" for app, name in nodes)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
