"""The queue: a published window of the ranking, claimed one entry at a time by any number of annotators.

Everything here is SQL on purpose: a claim is one statement, and its guarantees (no item to more people than wanted, order
kept, nobody waits for anybody) are the database's. Every change of a project's queue runs under two advisory locks:
claims share the project's lock and hold their own person's; publishing takes the project's alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from annotator.common import sql
from annotator.labeling.models import QueueEntry
from annotator.labeling.statements import LOCK_PERSON, from_json, run_as_person

# The person's own answers, claims and refusals take an entry out of their sight. Subqueries, not joins: they are looked up
# by index for the few entries at the head, however much the person has done, and the queue is read from its start on,
# past whatever earlier windows left in the index.
CLAIM = """
WITH held AS (
  UPDATE labeling_itemlease SET expires_at = now() + make_interval(secs => p.lease_seconds),
    token = CASE WHEN %(fresh)s::bool THEN gen_random_uuid() ELSE token END
  FROM projects_project p
  WHERE project_id = %(project)s::int AND p.id = project_id AND annotator_id = %(user)s::int AND holder = %(holder)s::uuid
    AND returned_at IS NULL
  RETURNING token, item_id, acquired_at, expires_at, served, suggestion
), picked AS (
  SELECT q.id, q.item_id, q.served, CASE WHEN p.show_suggestions THEN q.suggestion END AS suggestion, p.lease_seconds
  FROM labeling_queueentry q JOIN projects_project p ON p.id = q.project_id
  WHERE q.project_id = %(project)s::int AND q.free > 0
    AND q.position >= (SELECT queue_start FROM projects_project WHERE id = %(project)s::int)
    AND (SELECT 1 FROM labeling_annotation a WHERE a.item_id = q.item_id AND a.annotator_id = %(user)s::int
         AND a.current AND a.state = 'submitted') IS NULL
    AND (SELECT 1 FROM labeling_itemlease l WHERE l.item_id = q.item_id AND l.annotator_id = %(user)s::int
         AND l.returned_at IS NULL) IS NULL
    AND (SELECT 1 FROM labeling_skip s WHERE s.item_id = q.item_id AND s.annotator_id = %(user)s::int
         AND NOT s.withdrawn AND (%(strict)s::bool OR s.policy <> 'me_later') LIMIT 1) IS NULL
  ORDER BY q.position
  LIMIT greatest(0, %(count)s::int - (SELECT count(*) FROM held))
  FOR UPDATE OF q SKIP LOCKED
), taken AS (
  UPDATE labeling_queueentry q SET free = q.free - 1 FROM picked WHERE q.id = picked.id
), leased AS (
  INSERT INTO labeling_itemlease
    (token, project_id, item_id, annotator_id, holder, acquired_at, expires_at, served, suggestion)
  SELECT gen_random_uuid(), %(project)s::int, item_id, %(user)s::int, %(holder)s::uuid, clock_timestamp(),
         now() + make_interval(secs => lease_seconds), served, suggestion
  FROM picked
  ON CONFLICT (item_id, annotator_id) DO UPDATE SET
    token = excluded.token, holder = excluded.holder, acquired_at = excluded.acquired_at,
    expires_at = excluded.expires_at, served = excluded.served, suggestion = excluded.suggestion, returned_at = NULL
  RETURNING token, item_id, acquired_at, expires_at, served, suggestion
)
SELECT l.token, l.item_id, i.row, i.external_id, i.text, i.asset_id, i.meta, l.acquired_at, l.expires_at, l.served,
       l.suggestion, d.regions
FROM (SELECT * FROM held UNION ALL SELECT * FROM leased) l
JOIN items_item i ON i.id = l.item_id
LEFT JOIN labeling_draft d ON d.item_id = l.item_id AND d.annotator_id = %(user)s::int
ORDER BY l.acquired_at, l.item_id
"""

# An item that is given to this person whatever the queue says. Nothing happens where it is in their hands already.
HAND = """
INSERT INTO labeling_itemlease
  (token, project_id, item_id, annotator_id, holder, acquired_at, expires_at, served, suggestion)
SELECT gen_random_uuid(), p.id, %(item)s::bigint, %(user)s::int, %(holder)s::uuid, clock_timestamp(),
       now() + make_interval(secs => p.lease_seconds), %(served)s::jsonb, %(suggestion)s::jsonb
FROM projects_project p WHERE p.id = %(project)s
ON CONFLICT (item_id, annotator_id) DO UPDATE SET
  token = excluded.token, holder = excluded.holder, acquired_at = excluded.acquired_at,
  expires_at = excluded.expires_at, served = excluded.served, suggestion = excluded.suggestion, returned_at = NULL
WHERE labeling_itemlease.returned_at IS NOT NULL
"""

STAGE = """
CREATE TEMPORARY TABLE staged_queue (item_id bigint, ordinal int, served jsonb, suggestion jsonb) ON COMMIT DROP
"""

# What is left of the labels an item wants (a function of the database, see the migrations of projects) once answers and
# living claims are counted. Items nobody wants are left out.
INSERT = """
INSERT INTO labeling_queueentry (project_id, item_id, position, free, served, suggestion)
SELECT p.id, s.item_id, p.queue_end + s.ordinal,
       labels_wanted(p.overlap, p.overlap_share, p.id, i.row) - coalesce(a.n, 0) - coalesce(l.n, 0),
       s.served, s.suggestion
FROM staged_queue s
JOIN projects_project p ON p.id = %(project)s
JOIN items_item i ON i.id = s.item_id AND i.archived_at IS NULL AND i.project_id = p.id AND i.split = 'pool'
LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_annotation
           WHERE item_id IN (SELECT item_id FROM staged_queue) AND current AND state = 'submitted'
           GROUP BY item_id) a ON a.item_id = s.item_id
LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_itemlease
           WHERE project_id = %(project)s AND returned_at IS NULL GROUP BY item_id) l ON l.item_id = s.item_id
WHERE labels_wanted(p.overlap, p.overlap_share, p.id, i.row) > coalesce(a.n, 0)
  AND NOT EXISTS (SELECT 1 FROM labeling_skip k
                  WHERE k.item_id = s.item_id AND k.policy = 'nobody' AND NOT k.withdrawn)
  AND NOT EXISTS (SELECT 1 FROM labeling_queueentry q
                  WHERE q.project_id = p.id AND q.item_id = s.item_id AND q.position >= p.queue_start)
"""
LOCK_QUEUE = "SELECT pg_advisory_xact_lock(%(project)s, 0)"
APPEND = (LOCK_QUEUE,)
SWAP = (LOCK_QUEUE, "UPDATE projects_project SET queue_start = queue_end WHERE id = %(project)s")
# What somebody is just changing stays for the next time: nobody waits for nobody.
REMOVE_EARLIER = """
DELETE FROM labeling_queueentry WHERE id IN (
  SELECT q.id FROM labeling_queueentry q JOIN projects_project p ON p.id = q.project_id
  WHERE q.project_id = %s AND q.position < p.queue_start FOR UPDATE OF q SKIP LOCKED)
"""
ADVANCE = "UPDATE projects_project SET queue_end = queue_end + %(staged)s WHERE id = %(project)s"


@dataclass(frozen=True)
class Claimed:
    """An item in a person's hands, with everything a screen needs to show it."""

    token: UUID
    item_id: int
    row: int
    external_id: str
    text: str | None
    asset_id: int | None
    meta: dict[str, Any]
    acquired_at: datetime
    expires_at: datetime
    served: dict[str, Any]
    suggestion: dict[str, Any] | None
    draft: list[dict[str, Any]] | None


@dataclass(frozen=True)
class Candidate:
    """A row to publish: an item, why it is served, and what the model would answer."""

    item_id: int
    served: dict[str, Any]
    suggestion: dict[str, Any] | None = None


@contextmanager
def person_lock(project_id: int, user_id: int) -> Iterator[CursorWrapper]:
    """A transaction in which this person's claims in the project change under nobody's hands."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_PERSON, {"project": project_id, "user": user_id})
        yield cursor


@contextmanager
def queue_lock(project_id: int) -> Iterator[CursorWrapper]:
    """A transaction in which nobody claims from, or answers into, the project's queue."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_QUEUE, {"project": project_id})
        yield cursor


def claim(*, project_id: int, user_id: int, holder: UUID, count: int, fresh: bool = False) -> list[Claimed]:
    """The tab's living claims, topped up to `count` from the head of the queue. Renews their time.

    Items the person put off ('me later') come last, when nothing else is left. `fresh` gives the living claims new
    tokens: a page that was reloaded keeps its items even when its predecessor's release arrives only now.
    """
    values = {"project": project_id, "user": user_id, "holder": holder, "count": count}
    values |= {"fresh": fresh, "strict": True}
    rows = run_as_person(CLAIM, values)
    if len(rows) < count:
        rows = run_as_person(CLAIM, values | {"fresh": False, "strict": False})
    return [_claimed(row) for row in rows]


def hand(cursor: CursorWrapper, *, project_id: int, user_id: int, holder: UUID, candidate: Candidate) -> bool:
    """Put an item into a person's hands past the queue, inside their `person_lock`; False: they have it already.

    `claim` then returns it as held. It takes a place of the item's entry, if there is one, as every claim does: whoever gives
    it back puts one back.
    """
    suggestion = None if candidate.suggestion is None else json.dumps(candidate.suggestion)
    values: dict[str, Any] = {"project": project_id, "user": user_id, "holder": holder}
    values["item"] = candidate.item_id
    cursor.execute(HAND, values | {"served": json.dumps(candidate.served), "suggestion": suggestion})
    if cursor.rowcount != 1:
        return False
    take_out(cursor, project_id, [candidate.item_id])
    return True


def put_back(cursor: CursorWrapper, project_id: int, item_ids: list[int]) -> None:
    """One place more for each item, if it is still in the window."""
    cursor.execute(
        "UPDATE labeling_queueentry SET free = free + 1 WHERE project_id = %s AND item_id = ANY(%s)",
        [project_id, item_ids],
    )


def take_out(cursor: CursorWrapper, project_id: int, item_ids: list[int]) -> None:
    """One place less for each item, if it is still in the window."""
    cursor.execute(
        "UPDATE labeling_queueentry SET free = free - 1 WHERE project_id = %s AND item_id = ANY(%s)",
        [project_id, item_ids],
    )


def publish(*, project_id: int, candidates: Iterable[Candidate], replace: bool = True) -> int:
    """Make `candidates`, best first, the queue (or append them); returns how many entries went in.

    Items that meanwhile have all their answers are left out; living claims keep their place. In a transaction of the
    caller's this comes last: until it ends, nobody can claim. The entries of earlier windows count no more; they go with
    `remove_earlier`, which can take its time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STAGE)
        values = {"project": project_id, "staged": _stage(cursor, candidates)}
        # All at once: between statements sent one by one, annotators would wait for this process to be given the CPU.
        with sql.ready().pipeline():
            for statement in SWAP if replace else APPEND:
                cursor.execute(statement, values)
            cursor.execute(INSERT, values)
            with connection.cursor() as after:
                after.execute(ADVANCE, values)
                after.execute("DROP TABLE staged_queue")
        return int(cursor.rowcount)


def remove_earlier(project_id: int) -> None:
    """Delete the entries of windows that were replaced."""
    with connection.cursor() as cursor:
        cursor.execute(REMOVE_EARLIER, [project_id])


def _stage(cursor: CursorWrapper, candidates: Iterable[Candidate]) -> int:
    count = 0
    with cursor.copy("COPY staged_queue (item_id, ordinal, served, suggestion) FROM STDIN") as copy:
        for count, candidate in enumerate(candidates, start=1):
            suggestion = None if candidate.suggestion is None else json.dumps(candidate.suggestion)
            copy.write_row((candidate.item_id, count - 1, json.dumps(candidate.served), suggestion))
    # Left alone the planner takes so new a table for a large one, and reads all items while nobody can claim.
    cursor.execute("ANALYZE staged_queue (item_id)")
    return count


def open_entries(project_id: int) -> int:
    """How many entries of the window can still be claimed by somebody."""
    return QueueEntry.objects.open(project_id).count()


def _claimed(row: tuple[Any, ...]) -> Claimed:
    names = [field.name for field in fields(Claimed)]
    values = dict(zip(names, row, strict=True))
    return Claimed(
        **values | {name: from_json(values[name]) for name in ("meta", "served", "suggestion", "draft")}
    )
