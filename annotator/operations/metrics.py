"""What Prometheus reads: the state of the product from the database, requests from the web processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from annotator.common.requests import REGISTRY
from annotator.jobs.selectors import queues_served

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEPT_SECONDS = 15  # a scrape costs the database at most one set of queries in this time
LONGEST_QUERY = "5s"
MOST_PROJECTS = 1_000  # series per metric are bounded; the newest projects count
KEY = "operations.metrics"
NEWEST = f"(SELECT id FROM projects_project WHERE deleted_at IS NULL ORDER BY id DESC LIMIT {MOST_PROJECTS})"  # noqa: S608
# Name, what it is, labels, query whose last column is the value; NEWEST stands for the projects that count.
QUERIES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "annotator_labels",
        "Answers that count now.",
        ("project",),
        "SELECT project_id, count(*) FROM labeling_annotation WHERE current AND state = 'submitted' "
        "AND project_id IN NEWEST GROUP BY 1",
    ),
    (
        "annotator_leases",
        "Items that somebody has in hand.",
        ("project",),
        "SELECT project_id, count(*) FROM labeling_itemlease WHERE returned_at IS NULL AND expires_at > now() "
        "AND project_id IN NEWEST GROUP BY 1",
    ),
    (
        "annotator_queue_open",
        "Places of the queue that can be claimed.",
        ("project",),
        "SELECT q.project_id, count(*) FROM labeling_queueentry q JOIN projects_project p ON p.id = q.project_id "
        "WHERE q.free > 0 AND q.position >= p.queue_start AND p.id IN NEWEST GROUP BY 1",
    ),
    (
        "annotator_jobs",
        "Jobs by state and kind.",
        ("state", "kind"),
        "SELECT state, kind, count(*) FROM jobs_job GROUP BY 1, 2",
    ),
    (
        "annotator_job_oldest_waiting_seconds",
        "Age of the longest waiting job of a queue.",
        ("queue",),
        "SELECT queue, extract(epoch FROM now() - min(created_at)) FROM jobs_job WHERE state = 'queued' GROUP BY 1",
    ),
    (
        "annotator_rounds",
        "Rounds by outcome.",
        ("state",),
        "SELECT state, count(*) FROM learning_round GROUP BY 1",
    ),
    (
        "annotator_model_age_seconds",
        "Age of the model in use.",
        ("project",),
        "SELECT project_id, extract(epoch FROM now() - created_at) FROM learning_modelversion "
        "WHERE in_use AND project_id IN NEWEST",
    ),
)

Rows = dict[str, list[list[Any]]]


def exposition() -> bytes:
    """The page, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Product())
    if _several_processes():
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(registry) + generate_latest(REGISTRY)


class _Product:
    """Collector of what the database and Redis know."""

    def collect(self) -> Iterator[Metric]:
        rows = product_rows()
        up = GaugeMetricFamily("annotator_database_up", "Whether the database answered this scrape.")
        up.add_metric([], 0.0 if rows is None else 1.0)
        yield up
        for name, help_, labels, _query in QUERIES:
            family = GaugeMetricFamily(name, help_, labels=labels)
            for *values_, number in (rows or {}).get(name, []):
                family.add_metric([str(value) for value in values_], float(number))
            yield family
        seen = GaugeMetricFamily(
            "annotator_worker_seen_timestamp_seconds", "When a queue was last served.", labels=("queue",)
        )
        for queue, note in _served().items():
            seen.add_metric([queue], note["at"].timestamp() if note else 0.0)
        yield seen


def product_rows() -> Rows | None:
    """Rows of each query, at most 15 seconds old; None when the database does not answer in time."""
    try:
        kept: Rows | None = cache.get(KEY)
    except (RedisError, OSError):
        kept = None
    if kept is not None:
        return kept
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{LONGEST_QUERY}'")
            found: Rows = {}
            for name, _help, _labels, query in QUERIES:
                cursor.execute(query.replace("NEWEST", NEWEST))
                found[name] = [[*row[:-1], float(row[-1])] for row in cursor.fetchall()]
    except DatabaseError:
        return None
    try:
        cache.set(KEY, found, KEPT_SECONDS)
    except (RedisError, OSError):
        return found
    return found


def _served() -> dict[str, dict[str, Any] | None]:
    try:
        return queues_served()
    except (RedisError, OSError):
        return {}


def _several_processes() -> bool:
    return values.ValueClass is not values.MutexValue


def worker_ages() -> dict[str, float | None]:
    """Seconds since each queue was served; None: never."""
    now = timezone.now()
    return {queue: (now - note["at"]).total_seconds() if note else None for queue, note in _served().items()}
