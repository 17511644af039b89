"""What the dashboard shows: one query a figure, none touching item payloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db import connection

from annotator.items.models import Item
from annotator.labeling.models import QueueEntry
from annotator.labeling.statements import from_json
from annotator.projects.models import LabelSchema, Project
from annotator.quality.models import GoldItem
from annotator.workspace.why import why

SNIPPET = 160  # characters of a text in lists
REMEMBER = 20  # seconds


@dataclass(frozen=True)
class Progress:
    """How far the project is: pool items, items with all their answers, items with some, answers in the last day."""

    items: int
    complete: int
    started: int
    answers: int
    answers_today: int

    @property
    def share(self) -> float:
        return self.complete / self.items if self.items else 0.0

    @property
    def percent(self) -> int:
        """Whole, rounded down: nothing that one answer changes."""
        return int(100 * self.share)


ANSWERED = """
WITH answered AS (
  SELECT a.item_id, count(*) AS n, count(*) FILTER (WHERE a.created_at > now() - interval '1 day') AS today
  FROM labeling_annotation a WHERE a.project_id = %(project)s AND a.current AND a.state = 'submitted'
  GROUP BY a.item_id
)
"""
PROGRESS = f"""{ANSWERED}
SELECT count(*) FILTER (WHERE n >= p.overlap), count(*), coalesce(sum(n), 0), coalesce(sum(today), 0)
FROM answered, projects_project p WHERE p.id = %(project)s
"""  # noqa: S608 - constant text
# Where items differ in what they want, or some are gold, each has to be looked at. Answers to gold count under quality alone.
PROGRESS_BY_ITEM = f"""{ANSWERED}
SELECT count(*) FILTER (WHERE i.split = 'pool' AND n >= labels_wanted(p.overlap, p.overlap_share, p.id, i.row)),
       count(*) FILTER (WHERE i.split = 'pool'), coalesce(sum(n) FILTER (WHERE i.split <> 'gold'), 0),
       coalesce(sum(today) FILTER (WHERE i.split <> 'gold'), 0)
FROM answered JOIN items_item i ON i.id = answered.item_id, projects_project p WHERE p.id = %(project)s
"""  # noqa: S608 - constant text


def progress(project: Project) -> Progress:
    """Counts of items and answers."""
    differ = project.overlap > 1 and project.overlap_share < 1
    by_item = differ or GoldItem.objects.filter(project=project).exists()
    with connection.cursor() as cursor:
        cursor.execute(PROGRESS_BY_ITEM if by_item else PROGRESS, {"project": project.pk})
        complete, started, answers, today = cursor.fetchone()
    return Progress(_pool_size(project), complete, started, int(answers), int(today))


@dataclass(frozen=True)
class OwnWork:
    """What one person did: answers that count, and those of the last day."""

    answers: int
    today: int


OWN = """
SELECT count(*), count(*) FILTER (WHERE created_at > now() - interval '1 day')
FROM labeling_annotation WHERE project_id = %s AND annotator_id = %s AND current AND state = 'submitted'
"""


def own_work(project_id: int, user_id: int) -> OwnWork:
    """Each answer counts, whatever it was an answer to: this tells nobody what is gold or asked again."""
    with connection.cursor() as cursor:
        cursor.execute(OWN, [project_id, user_id])
        return OwnWork(*cursor.fetchone())


def _pool_size(project: Project) -> int:
    """Items to label. Counting a million takes longer than the rest of the page, and live events renew it often: what is
    archived or deleted shows after twenty seconds, what is imported at once."""
    name = f"pool.{project.pk}.{project.next_row}"
    size: int | None = cache.get(name)
    if size is None:
        size = Item.objects.pool().filter(project=project).count()
        cache.set(name, size, REMEMBER)
    return size


CLASS_COUNTS = """
SELECT key, count(*) FROM labeling_annotation a
CROSS JOIN LATERAL jsonb_array_elements_text(a.regions->0->'classes') AS key
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' GROUP BY key
"""


def class_balance(schema: LabelSchema) -> list[dict[str, Any]]:
    """Answers per class of today's schema; answers in merged classes count for their heirs."""
    with connection.cursor() as cursor:
        cursor.execute(CLASS_COUNTS, [schema.project_id])
        counted = dict(cursor.fetchall())
    heirs, totals = schema.resolve(), dict.fromkeys((c.key for c in schema.active_classes()), 0)
    for key, count in counted.items():
        heir = heirs.get(key)
        if heir in totals:
            totals[heir] += count
    return [{"name": c.name, "value": totals[c.key], "color": c.colour} for c in schema.active_classes()]


@dataclass(frozen=True)
class Throughput:
    """One annotator's work: answers, those of the last day, median seconds, skips, latest answer."""

    name: str
    answers: int
    today: int
    median_seconds: float | None
    skips: int
    latest: datetime | None


THROUGHPUT = """
SELECT coalesce(nullif(trim(u.first_name || ' ' || u.last_name), ''), u.username), a.n, a.today, a.median,
       (SELECT count(*) FROM labeling_skip s
        WHERE s.project_id = %(project)s AND s.annotator_id = u.id AND NOT s.withdrawn), a.latest
FROM (SELECT annotator_id, count(*) AS n, count(*) FILTER (WHERE created_at > now() - interval '1 day') AS today,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median, max(created_at) AS latest
      FROM labeling_annotation WHERE project_id = %(project)s AND current AND state = 'submitted'
      GROUP BY annotator_id) a
JOIN accounts_user u ON u.id = a.annotator_id ORDER BY a.n DESC
"""


def throughput(project_id: int) -> list[Throughput]:
    with connection.cursor() as cursor:
        cursor.execute(THROUGHPUT, {"project": project_id})
        return [Throughput(*row) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Waiting:
    """An entry of the queue as a manager sees it."""

    place: int
    item_id: int
    external_id: str
    snippet: str
    asset_id: int | None
    headline: str
    exploration: bool
    utility: float | None
    free: int


def next_in_queue(project_id: int, limit: int = 50) -> list[Waiting]:
    """The next `limit` open entries, in the order in which they will be served."""
    entries = (
        QueueEntry.objects.open(project_id)
        .select_related("item")
        .only("free", "served", "item__external_id", "item__text", "item__asset_id")
        .order_by("position")[:limit]
    )
    return [
        Waiting(
            place=place,
            item_id=entry.item_id,
            external_id=entry.item.external_id,
            snippet=(entry.item.text or "")[:SNIPPET],
            asset_id=entry.item.asset_id,
            headline=why(entry.served)["headline"],
            exploration=bool(entry.served.get("exploration")),
            utility=entry.served.get("utility"),
            free=entry.free,
        )
        for place, entry in enumerate(entries, start=1)
    ]


HOLDERS = """
SELECT coalesce(nullif(trim(u.first_name || ' ' || u.last_name), ''), u.username), i.external_id, i.id,
       l.served, l.acquired_at
FROM labeling_itemlease l JOIN accounts_user u ON u.id = l.annotator_id JOIN items_item i ON i.id = l.item_id
WHERE l.project_id = %s AND l.returned_at IS NULL ORDER BY l.acquired_at DESC LIMIT 50
"""


@dataclass(frozen=True)
class Held:
    """Who has which item in hand."""

    name: str
    external_id: str
    item_id: int
    round: int | None
    since: datetime


def held_now(project_id: int) -> list[Held]:
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, [project_id])
        rows = cursor.fetchall()
    return [
        Held(name, ext, item, from_json(served).get("round"), since)
        for name, ext, item, served, since in rows
    ]
