"""What annotators do: answer, skip, undo, keep and give back items. Every call is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.hooks.models import Kind
from annotator.hooks.outbox import WANTED, note
from annotator.items.models import Item
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Draft, ItemLease, Skip
from annotator.labeling.statements import from_json, run_as_person
from annotator.projects.models import LabelSchema, Project
from annotator.regions import parse_regions
from annotator.regions.errors import RegionError

Regions = list[dict[str, Any]]
MAX_SECONDS = 24 * 3600.0

# `previous` is read by the revision, so that it is no longer current before the new row comes in.
SUBMIT = f"""
WITH known AS (
  SELECT annotator_id, project_id, item_id, state, revision, regions FROM labeling_annotation WHERE id = %(id)s::uuid
), lease AS (
  DELETE FROM labeling_itemlease
  WHERE item_id = %(item)s::bigint AND annotator_id = %(user)s::int AND project_id = %(project)s::int
    AND NOT EXISTS (SELECT 1 FROM known)
  RETURNING served, suggestion, returned_at
), previous AS (
  UPDATE labeling_annotation SET current = false
  WHERE item_id = %(item)s::bigint AND annotator_id = %(user)s::int AND project_id = %(project)s::int AND current
    AND NOT EXISTS (SELECT 1 FROM known)
  RETURNING served, suggestion, revision
), late AS (
  UPDATE labeling_queueentry SET free = free - 1
  WHERE project_id = %(project)s::int AND item_id = %(item)s::bigint
    AND EXISTS (SELECT 1 FROM lease WHERE returned_at IS NOT NULL)
), origin AS (
  SELECT served, suggestion FROM lease
  UNION ALL
  SELECT served, suggestion FROM previous WHERE NOT EXISTS (SELECT 1 FROM lease)
), draft AS (
  DELETE FROM labeling_draft
  WHERE item_id = %(item)s::bigint AND annotator_id = %(user)s::int AND EXISTS (SELECT 1 FROM origin)
), answer AS (
  INSERT INTO labeling_annotation (id, project_id, item_id, annotator_id, schema_id, state, current, revision, regions,
                                   seconds, served, suggestion, created_at)
  SELECT %(id)s::uuid, %(project)s::int, %(item)s::bigint, %(user)s::int, %(schema)s::bigint, 'submitted', true,
         coalesce((SELECT max(revision) FROM previous), 0) + 1, %(regions)s::jsonb, %(seconds)s::float8,
         served, suggestion, now()
  FROM origin
  RETURNING annotator_id, project_id, item_id, state, revision, regions
), told AS (
  INSERT INTO hooks_event (uid, project_id, kind, payload, created_at)
  SELECT gen_random_uuid(), project_id, 'annotation.submitted',
         jsonb_build_object('id', %(id)s::uuid, 'item', item_id, 'annotator', annotator_id, 'revision', revision,
                            'regions', regions), now()
  FROM answer WHERE {WANTED.format(kind="'annotation.submitted'")}
)
SELECT true, * FROM answer UNION ALL SELECT false, * FROM known
"""  # noqa: S608 - constant text


@dataclass(frozen=True)
class Answer:
    """What was stored, as the client sees it."""

    id: UUID
    item_id: int
    state: str
    revision: int
    regions: Regions


@lru_cache(maxsize=1024)
def schema_classes(project_id: int, version: int) -> tuple[int, frozenset[str], str]:
    """(id, keys that could be chosen, task) of a schema version. Versions are immutable, so this is cached for good."""
    schema = (
        LabelSchema.objects.select_related("project").filter(project_id=project_id, version=version).first()
    )
    if schema is None:
        raise Invalid(f"This project has no label schema version {version}.", code="unknown_schema")
    return schema.pk, frozenset(c.key for c in schema.active_classes()), schema.project.task


def submit_annotation(
    *,
    project_id: int,
    user_id: int,
    annotation_id: UUID,
    item_id: int,
    schema_version: int,
    regions: Regions,
    seconds: float | None = None,
) -> tuple[Answer, bool]:
    """Store a person's answer; returns it and whether it is new. The same id twice stores it once.

    The item must be in the person's hands (also if the claim ran out meanwhile) or be one they answered before.
    """
    schema_id, keys, task = schema_classes(project_id, schema_version)
    try:
        regions = parse_regions(regions, classes=keys, task=task)
    except RegionError as error:
        raise Invalid(str(error), code="invalid_regions") from error
    rows = run_as_person(
        SUBMIT,
        {
            "project": project_id,
            "user": user_id,
            "id": annotation_id,
            "item": item_id,
            "schema": schema_id,
            "regions": Jsonb(regions),
            "seconds": _plausible(seconds),
        },
    )
    if not rows:
        raise NotFound("This item was not given to you.", code="no_lease", hint="Ask for the next item.")
    [(created, owner, where, item, state, revision, stored)] = rows
    if (owner, where, item) != (user_id, project_id, item_id):
        raise Conflict("This id was used for something else.", code="id_reused")
    return Answer(annotation_id, item_id, state, revision, from_json(stored)), created


def withdraw_annotation(
    *, project_id: int, user_id: int, item_id: int, annotation_id: UUID, holder: UUID
) -> Annotation:
    """Undo: a new revision 'withdrawn', and the item back in its author's hands."""
    with queue.person_lock(project_id, user_id):
        if known := Annotation.objects.filter(pk=annotation_id).first():
            return _same_answer(known, project_id, user_id, item_id)
        previous = (
            Annotation.objects.valid()
            .filter(project_id=project_id, item_id=item_id, annotator_id=user_id)
            .first()
        )
        if previous is None:
            raise NotFound("There is no answer of yours to take back here.", code="nothing_to_undo")
        Annotation.objects.filter(pk=previous.pk).update(current=False)
        told = {"id": annotation_id, "item": item_id, "annotator": user_id, "revision": previous.revision + 1}
        note(project_id=project_id, kind=Kind.WITHDRAWN, payload=told)
        withdrawn = Annotation.objects.create(
            id=annotation_id,
            project_id=project_id,
            item_id=item_id,
            annotator_id=user_id,
            schema_id=previous.schema_id,
            state=Annotation.State.WITHDRAWN,
            revision=previous.revision + 1,
            regions=previous.regions,
            served=previous.served,
            suggestion=previous.suggestion,
        )
        _hand_back(project_id, user_id, item_id, holder, previous.served, previous.suggestion)
        Draft.objects.update_or_create(
            item_id=item_id, annotator_id=user_id, defaults={"regions": previous.regions}
        )
    return withdrawn


def skip_item(*, project_id: int, user_id: int, skip_id: UUID, item_id: int, reason: str = "") -> Skip:
    """Pass an item over; the project's skip policy says who sees it again."""
    project = Project.objects.only("skip_policy").get(pk=project_id)
    with queue.person_lock(project_id, user_id) as cursor:
        if known := Skip.objects.filter(pk=skip_id).first():
            if (known.project_id, known.annotator_id, known.item_id) != (project_id, user_id, item_id):
                raise Conflict("This id was used for something else.", code="id_reused")
            return known
        lease = ItemLease.objects.filter(project_id=project_id, item_id=item_id, annotator_id=user_id).first()
        if lease is None:
            raise NotFound("This item was not given to you.", code="no_lease", hint="Ask for the next item.")
        skip = Skip.objects.create(
            id=skip_id,
            project_id=project_id,
            item_id=item_id,
            annotator_id=user_id,
            policy=project.skip_policy,
            reason=reason[:500],
            served=lease.served,
        )
        lease.delete()
        if skip.policy == Project.SkipPolicy.NOBODY:
            cursor.execute(
                "DELETE FROM labeling_queueentry WHERE project_id = %s AND item_id = %s",
                [project_id, item_id],
            )
        elif lease.returned_at is None:
            queue.put_back(cursor, project_id, [item_id])
    return skip


def withdraw_skip(*, project_id: int, user_id: int, skip_id: UUID, holder: UUID) -> Skip:
    """Undo a skip: the item is back in the person's hands."""
    with queue.person_lock(project_id, user_id) as cursor:
        skip = Skip.objects.filter(pk=skip_id, project_id=project_id, annotator_id=user_id).first()
        if skip is None:
            raise NotFound("There is no skip of yours to take back here.", code="nothing_to_undo")
        if not skip.withdrawn:
            Skip.objects.filter(pk=skip.pk).update(withdrawn=True)
            skip.withdrawn = True
            if skip.policy != Project.SkipPolicy.NOBODY:
                queue.take_out(cursor, project_id, [skip.item_id])
            _hand_back(project_id, user_id, skip.item_id, holder, skip.served, None)
    return skip


def save_draft(*, project_id: int, user_id: int, item_id: int, regions: Regions) -> None:
    """Keep unsent work. Not validated against the schema: a draft may be incomplete."""
    if not ItemLease.objects.filter(project_id=project_id, item_id=item_id, annotator_id=user_id).exists():
        raise NotFound("This item was not given to you.", code="no_lease")
    Draft.objects.update_or_create(item_id=item_id, annotator_id=user_id, defaults={"regions": regions})


def delete_draft(*, project_id: int, user_id: int, item_id: int) -> None:
    """Throw unsent work away; the item stays in the person's hands."""
    gone, _ = Draft.objects.filter(
        item__project_id=project_id, item_id=item_id, annotator_id=user_id
    ).delete()
    if not gone:
        raise NotFound("There is no draft of yours here.", code="no_draft")


def renew_leases(*, project_id: int, user_id: int, tokens: list[UUID]) -> list[UUID]:
    """A sign of life: living claims get their full time again; returns those that live."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE labeling_itemlease l SET expires_at = now() + make_interval(secs => p.lease_seconds)
               FROM projects_project p
               WHERE p.id = l.project_id AND l.project_id = %s AND l.annotator_id = %s AND l.token = ANY(%s)
                 AND l.returned_at IS NULL RETURNING l.token""",
            [project_id, user_id, tokens],
        )
        return [row[0] for row in cursor.fetchall()]


def release_leases(*, project_id: int, user_id: int, tokens: list[UUID]) -> int:
    """Give claims back at once; their items are next in line for somebody else."""
    with queue.person_lock(project_id, user_id) as cursor:
        cursor.execute(
            """DELETE FROM labeling_itemlease WHERE project_id = %s AND annotator_id = %s AND token = ANY(%s)
               AND returned_at IS NULL RETURNING item_id""",
            [project_id, user_id, tokens],
        )
        item_ids = [row[0] for row in cursor.fetchall()]
        queue.put_back(cursor, project_id, item_ids)
    return len(item_ids)


def return_expired_leases() -> int:
    """Put the items of claims that ran out back into their queues. Run every few seconds."""
    overdue = ItemLease.objects.filter(returned_at=None, expires_at__lt=timezone.now())
    count = 0
    for project_id in overdue.values_list("project_id", flat=True).distinct():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [project_id])
            cursor.execute(
                """UPDATE labeling_itemlease SET returned_at = now()
                   WHERE project_id = %s AND returned_at IS NULL AND expires_at < now() RETURNING item_id""",
                [project_id],
            )
            item_ids = [row[0] for row in cursor.fetchall()]
            queue.put_back(cursor, project_id, item_ids)
            count += len(item_ids)
    return count


def archive_items(*, project_id: int, item_ids: list[int]) -> int:
    """Take items out of work: out of the queue, the pool and later training sets. Their answers stay."""
    with queue.queue_lock(project_id) as cursor:
        count = Item.objects.filter(project_id=project_id, pk__in=item_ids, archived_at=None).update(
            archived_at=timezone.now()
        )
        cursor.execute(
            "DELETE FROM labeling_queueentry WHERE project_id = %s AND item_id = ANY(%s)",
            [project_id, item_ids],
        )
    return count


def set_overlap(*, project: Project, overlap: int, share: float = 1.0) -> None:
    """Change how many people label each item of a share of the items; the queue follows at once."""
    with queue.queue_lock(project.pk) as cursor:
        # From the stored values, not from `project`, which another request may have outdated.
        cursor.execute(
            """UPDATE labeling_queueentry q
               SET free = q.free + labels_wanted(%s, %s, p.id, i.row)
                          - labels_wanted(p.overlap, p.overlap_share, p.id, i.row)
               FROM projects_project p, items_item i
               WHERE p.id = q.project_id AND i.id = q.item_id AND p.id = %s""",
            [overlap, share, project.pk],
        )
        Project.objects.filter(pk=project.pk).update(overlap=overlap, overlap_share=share)
    project.overlap, project.overlap_share = overlap, share


def _plausible(seconds: float | None) -> float | None:
    """What a client measured, within a day; None for what is no number."""
    return min(max(seconds, 0.0), MAX_SECONDS) if seconds is not None and isfinite(seconds) else None


def _same_answer(known: Annotation, project_id: int, user_id: int, item_id: int) -> Annotation:
    if (known.project_id, known.annotator_id, known.item_id) != (project_id, user_id, item_id):
        raise Conflict("This id was used for something else.", code="id_reused")
    return known


def _hand_back(
    project_id: int,
    user_id: int,
    item_id: int,
    holder: UUID,
    served: dict[str, Any],
    suggestion: dict[str, Any] | None,
) -> None:
    lease_seconds = Project.objects.values_list("lease_seconds", flat=True).get(pk=project_id)
    ItemLease.objects.update_or_create(
        item_id=item_id,
        annotator_id=user_id,
        defaults={
            "project_id": project_id,
            "holder": holder,
            "acquired_at": timezone.now(),
            "expires_at": timezone.now() + timedelta(seconds=lease_seconds),
            "returned_at": None,
            "served": served,
            "suggestion": suggestion,
        },
    )
