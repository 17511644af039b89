"""What a person sees of their own work, and why there is nothing to do."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from annotator.common.errors import NotFound
from annotator.labeling.models import Draft
from annotator.labeling.statements import from_json

EMPTY = """
SELECT
  EXISTS (SELECT 1 FROM items_item WHERE project_id = %(project)s AND archived_at IS NULL AND split = 'pool'),
  EXISTS (SELECT 1 FROM labeling_queueentry q WHERE q.project_id = %(project)s AND q.free > 0
          AND q.position >= (SELECT queue_start FROM projects_project WHERE id = %(project)s)),
  EXISTS (SELECT 1 FROM labeling_itemlease l WHERE l.project_id = %(project)s AND l.annotator_id <> %(user)s
          AND l.returned_at IS NULL),
  EXISTS (SELECT 1 FROM items_item i JOIN projects_project p ON p.id = i.project_id
          WHERE i.project_id = %(project)s AND i.archived_at IS NULL AND i.split = 'pool'
            AND NOT EXISTS (SELECT 1 FROM labeling_skip k
                            WHERE k.item_id = i.id AND k.policy = 'nobody' AND NOT k.withdrawn)
            AND (SELECT count(*) FROM labeling_annotation a
                 WHERE a.item_id = i.id AND a.current AND a.state = 'submitted')
                < labels_wanted(p.overlap, p.overlap_share, p.id, i.row))
"""


@dataclass(frozen=True)
class Nothing:
    """Why a person gets no item now. `later` says whether waiting helps."""

    code: str
    message: str
    hint: str
    later: bool


def why_nothing(*, project_id: int, user_id: int) -> Nothing:
    """The honest reason behind an empty queue; called only when a claim came back empty."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY, {"project": project_id, "user": user_id})
        items, open_entries, leased, missing = cursor.fetchone()
    if not items:
        return Nothing("no_items", "There is nothing to label yet.", "Import some items first.", later=False)
    if not missing:
        return Nothing(
            "all_done", "Every item has all its labels.", "Thank you, that was all of it.", later=False
        )
    if open_entries:
        return Nothing(
            "yours_done",
            "You have labelled or skipped everything that is open.",
            "What is left waits for somebody else's answer.",
            later=True,
        )
    if leased:
        return Nothing(
            "others_busy",
            "The last open items are in other people's hands.",
            "Items that they give back come to you.",
            later=True,
        )
    return Nothing("preparing", "The queue is being prepared.", "This page goes on by itself.", later=True)


def draft_of(*, project_id: int, user_id: int, item_id: int) -> Draft:
    """A person's unsent work on an item, or NotFound."""
    found = Draft.objects.filter(item__project_id=project_id, item_id=item_id, annotator_id=user_id).first()
    if found is None:
        raise NotFound("There is no draft of yours here.", code="no_draft")
    return found


@dataclass(frozen=True)
class Recent:
    """One of a person's latest answers or skips, newest first; what undo walks through."""

    id: UUID
    item_id: int
    kind: str
    classes: list[str]
    at: str


RECENT = """
(SELECT a.id, a.item_id, 'annotation', a.regions->0->'classes', a.created_at
 FROM labeling_annotation a
 WHERE a.annotator_id = %(user)s AND a.project_id = %(project)s AND a.current AND a.state = 'submitted'
 ORDER BY a.created_at DESC LIMIT %(limit)s)
UNION ALL
(SELECT s.id, s.item_id, 'skip', '[]'::jsonb, s.created_at
 FROM labeling_skip s
 WHERE s.annotator_id = %(user)s AND s.project_id = %(project)s AND NOT s.withdrawn
 ORDER BY s.created_at DESC LIMIT %(limit)s)
ORDER BY 5 DESC LIMIT %(limit)s
"""


def recent_work(*, project_id: int, user_id: int, limit: int = 20) -> list[Recent]:
    with connection.cursor() as cursor:
        cursor.execute(RECENT, {"project": project_id, "user": user_id, "limit": limit})
        rows = cursor.fetchall()
    return [
        Recent(id_, item, kind, from_json(classes), at.isoformat()) for id_, item, kind, classes, at in rows
    ]
