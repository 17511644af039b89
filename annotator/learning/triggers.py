"""When a round begins. The question is asked after every answer, so it is one statement on indexes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common import sql
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.learning.models import LearningSettings, Round
from annotator.learning.opening import new_seed, next_number
from annotator.quality.models import QualitySettings

ROUND_JOB, ENCODE_JOB, CHECKS_JOB = "round", "encode", "checks"
CHECKS_AGAIN = timedelta(seconds=60)  # how long found checks stand before others are looked for

# The fresh answers are counted from the newest back, or the planner reads all of them when few are fresh.
DUE = """
SELECT s.paused, s.retrain_labels, s.retrain_minutes, s.revision, r.state, r.revision,
       coalesce(r.frozen_at, r.created_at),
       (SELECT count(*) FROM (SELECT 1 FROM labeling_annotation a
                              WHERE a.project_id = s.project_id
                                AND a.created_at > coalesce(r.frozen_at, r.created_at, '-infinity')
                              ORDER BY a.created_at DESC LIMIT s.retrain_labels) fresh),
       (SELECT max(version) FROM projects_labelschema WHERE project_id = s.project_id), r.schema_version,
       r.overlap <> p.overlap OR r.overlap_share <> p.overlap_share OR r.consensus <> coalesce(q.method, 'majority'),
       (SELECT count(*) FROM (SELECT 1 FROM quality_decision d
                              WHERE d.project_id = s.project_id
                                AND d.created_at > coalesce(r.frozen_at, r.created_at, '-infinity')
                              LIMIT s.retrain_labels) decided)
FROM learning_learningsettings s
JOIN projects_project p ON p.id = s.project_id AND p.archived_at IS NULL AND p.deleted_at IS NULL
LEFT JOIN quality_qualitysettings q ON q.project_id = p.id
LEFT JOIN LATERAL (SELECT state, revision, frozen_at, created_at,
                          (settings->>'schema_version')::int AS schema_version,
                          (settings->>'overlap')::int AS overlap,
                          (settings->>'overlap_share')::float8 AS overlap_share,
                          settings->>'consensus' AS consensus
                   FROM learning_round
                   WHERE project_id = s.project_id ORDER BY number DESC LIMIT 1) r ON true
WHERE s.project_id = %s
"""


def due(project_id: int) -> str:
    """Why a round should begin now: 'labels', 'time', 'changed', or '' when it should not."""
    found = sql.read(DUE, [project_id])
    if not found:
        return ""
    [row] = found
    paused, labels, minutes, revision, state, seen_revision, since, answers = row[:8]
    schema, seen_schema, other, decided = row[8:]
    fresh = answers + decided
    if paused or state == Round.State.ACTIVE:
        return ""
    if revision > (seen_revision or 0) or (seen_schema is not None and schema != seen_schema) or other:
        return "changed"
    if fresh >= labels:
        return "labels"
    if fresh and (since is None or _older(since, minutes)):
        return "time"
    return ""


def start_round_if_due(project_id: int, trigger: str = "labels") -> Round | None:
    """Begin a round if one is due and none runs. Safe from any number of processes at once.

    `trigger` says who asks ('labels', 'items', 'beat', ...); the round records what made it due.
    """
    reason = due(project_id)
    if not reason:
        return None
    return begin_round(project_id, trigger=reason if trigger == "labels" else trigger)


def begin_round(
    project_id: int, *, trigger: str, by: User | None = None, settings: dict[str, Any] | None = None
) -> Round | None:
    """A round and its job, or None where one runs already.

    It counts for the settings as they are now, so that a round which fails before it looks at them is not begun again
    and again.
    """
    chosen = LearningSettings.objects.filter(project_id=project_id)
    try:
        with transaction.atomic():
            # Two at once collide on the number or on the constraint of one active round: one of them goes on.
            round_ = Round.objects.create(
                project_id=project_id,
                number=next_number(project_id),
                trigger=trigger,
                seed=new_seed(),
                revision=chosen.values_list("revision", flat=True).first() or 0,
                settings=settings or {},
            )
            round_.job = start_job(
                kind=ROUND_JOB,
                project_id=project_id,
                created_by=by,
                queue="gpu",
                params={"round": round_.pk},
            )
            round_.save(update_fields=["job"])
    except IntegrityError:
        return None
    return round_


def start_encoding(project_id: int, *, by: User | None = None) -> Job | None:
    """A job that computes missing features, unless one waits already."""
    waiting = Job.objects.filter(project_id=project_id, kind=ENCODE_JOB, state=Job.State.QUEUED)
    if waiting.exists():
        return None
    return start_job(kind=ENCODE_JOB, project_id=project_id, created_by=by, queue="gpu")


def start_checks_if_due(project_id: int) -> Job | None:
    """After a round, a job that looks for labels worth checking, where the manager gives a share of the work to that."""
    wanted = QualitySettings.objects.filter(project_id=project_id, check_share__gt=0).exists()
    if not wanted:
        return None
    jobs = Job.objects.filter(project_id=project_id, kind=CHECKS_JOB)
    if jobs.active().exists() or jobs.filter(created_at__gt=timezone.now() - CHECKS_AGAIN).exists():
        return None
    return start_job(kind=CHECKS_JOB, project_id=project_id, created_by=None, queue="gpu")


def start_due_rounds() -> int:
    """For the clock: end rounds whose jobs are gone, and begin those that are due; returns how many began."""
    end_orphans()
    live = LearningSettings.objects.filter(
        paused=False, project__deleted_at=None, project__archived_at=None
    ).values_list("project_id", flat=True)
    return sum(start_round_if_due(project_id) is not None for project_id in live)


def end_orphans(project_id: int | None = None) -> int:
    """Rounds still 'running' whose job has ended (cancelled while it waited, or lost three times) end as well."""
    orphans = Round.objects.filter(state=Round.State.ACTIVE).exclude(
        job__state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    if project_id is not None:
        orphans = orphans.filter(project_id=project_id)
    count = 0
    for round_ in orphans.select_related("job"):
        cancelled = round_.job is not None and round_.job.state == Job.State.CANCELLED
        state = Round.State.CANCELLED if cancelled else Round.State.FAILED
        error = (round_.job.error if round_.job else "") or (
            "Cancelled." if cancelled else "Its job was lost."
        )
        count += Round.objects.filter(pk=round_.pk, state=Round.State.ACTIVE).update(state=state, error=error)
    return count


def mark_changed(project_id: int) -> None:
    """Something other than labels asks for a new ranking: items, features, settings."""
    LearningSettings.objects.filter(project_id=project_id).update(revision=F("revision") + 1)


def _older(since: datetime, minutes: int) -> bool:
    return timezone.now() - since >= timedelta(minutes=minutes)
