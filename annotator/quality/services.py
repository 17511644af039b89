"""What reviewers and managers do about quality: settings, decisions, gold, what is asked again, reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Case as Choose
from django.db.models import Exists, OuterRef, Q, QuerySet, When
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.common.events import send_event
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.labeling import queue
from annotator.labeling.models import Annotation
from annotator.projects.models import Project
from annotator.quality import serving
from annotator.quality.models import Case, Check, Decision, GoldItem, QualitySettings, Report
from annotator.regions import parse_regions
from annotator.regions.errors import RegionError

REPORT_JOB = "quality"
FIELDS = ("method", "threshold", "gold_share", "check_share", "max_labels", "choose_annotators")
TAKEN_FOR = timedelta(minutes=5)


def settings_of(project: Project) -> QualitySettings:
    """The project's quality settings, made with their defaults when first asked for."""
    return QualitySettings.objects.get_or_create(project=project)[0]


def update_settings(*, settings: QualitySettings, values: Mapping[str, Any]) -> QualitySettings:
    """Store what a manager chose; Invalid names what may not be. Another method shows in the next round."""
    if unknown := set(values) - set(FIELDS):
        raise Invalid(f"There is no setting '{sorted(unknown)[0]}'.", code="unknown_setting")
    for name, value in values.items():
        setattr(settings, name, value)
    try:
        settings.full_clean(exclude=["project"])
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), code="invalid_settings", errors=error.message_dict) from error
    with transaction.atomic():
        settings.save()
        send_event(settings.project_id, "quality")
    serving.forget(settings.project_id)
    return settings


def decide(
    *,
    project: Project,
    item_id: int,
    classes: Sequence[str],
    by: User,
    note: str = "",
    gold: bool = False,
    replaces: int | None = None,
) -> Decision:
    """A reviewer's word on an item; again changes it, and makes a new decision in place of the one before.

    `replaces` names somebody else's decision that is known and shall go; Conflict where there is one that is not. With
    `gold` the item checks people from now on.
    """
    schema = project.schema
    with transaction.atomic():
        item = _live_item(project, item_id)
        chosen = _checked_classes(project, classes)
        before = Decision.objects.select_for_update().filter(item=item).first()
        if before is not None:
            if before.decided_by_id != by.pk and before.pk != replaces:
                raise _already_decided(before)
            before.delete()
        try:
            with transaction.atomic():
                decision = Decision.objects.create(
                    item=item,
                    project=project,
                    schema=schema,
                    classes=chosen,
                    note=note[:500],
                    decided_by=by,
                )
        except IntegrityError as error:
            raise _already_decided(Decision.objects.filter(item=item).first()) from error
        Check.objects.filter(item=item).delete()
        if gold:
            add_gold(project=project, item_id=item_id, classes=chosen, by=by)
        send_event(project.pk, "quality")
    return decision


def undo_decision(*, project_id: int, item_id: int, by: User, known: int | None = None) -> None:
    """Take a decision back: the answers count again.

    `known` names the decision that is meant; without it, it is one's own. Conflict where another stands.
    """
    with transaction.atomic():
        decision = Decision.objects.select_for_update().filter(project_id=project_id, item_id=item_id).first()
        if decision is None:
            raise NotFound("There is no decision on this item.", code="no_decision")
        if decision.pk != known and (known is not None or decision.decided_by_id != by.pk):
            raise _already_decided(decision, "Another decision than the one you mean stands.")
        decision.delete()
        send_event(project_id, "quality")


def add_gold(*, project: Project, item_id: int, classes: Sequence[str], by: User | None) -> GoldItem:
    """The item's answer is known from now on: it leaves the queue and is dealt to people to check them."""
    with queue.queue_lock(project.pk) as cursor:
        item = _live_item(project, item_id)
        if item.split == Item.Split.TEST:
            raise Conflict("Held-out items are never served, so they cannot be gold.", code="held_out")
        gold, _ = GoldItem.objects.update_or_create(
            item=item,
            defaults={
                "project": project,
                "classes": _checked_classes(project, classes),
                "added_by": by,
            },
        )
        Item.objects.filter(pk=item.pk).update(split=Item.Split.GOLD)
        Check.objects.filter(item=item).delete()
        cursor.execute(
            "DELETE FROM labeling_queueentry WHERE project_id = %s AND item_id = %s", [project.pk, item.pk]
        )
        send_event(project.pk, "quality")
    return gold


def remove_gold(*, project_id: int, item_id: int) -> None:
    """An item like any other again; the next ranking has it if it wants labels."""
    with transaction.atomic():
        gone, _ = GoldItem.objects.filter(project_id=project_id, item_id=item_id).delete()
        if not gone:
            raise NotFound("This item is not gold.", code="no_gold")
        Item.objects.filter(project_id=project_id, pk=item_id, split=Item.Split.GOLD).update(
            split=Item.Split.POOL
        )
        send_event(project_id, "quality")


def take_case(*, project_id: int, user: User, threshold: float) -> Case | None:
    """The worst open disagreement that no other reviewer has before them; it is this reviewer's for five minutes.

    What they put off comes when nothing else is left, the first to be put off first.
    """
    now = timezone.now()
    mine = Q(taken_by=user, taken_until__gte=now)
    free = Q(taken_until=None) | Q(taken_until__lt=now) | mine
    in_hand = mine & Q(left_at=None)
    put_off = mine & Q(left_at__isnull=False)
    with transaction.atomic():
        case = (
            open_cases(project_id, threshold)
            .filter(free)
            .annotate(turn=Choose(When(in_hand, then=0), When(put_off, then=2), default=1))
            .annotate(since=Choose(When(turn=2, then="left_at")))
            .order_by("turn", "since", "agreement", "item_id")
            .select_for_update(of=("self",), skip_locked=True)
            .first()
        )
        if case is None:
            return None
        case.taken_by, case.taken_until, case.left_at = user, now + TAKEN_FOR, None
        case.save(update_fields=["taken_by", "taken_until", "left_at"])
    return case


def leave_case(*, project_id: int, item_id: int, user: User) -> None:
    """Put a disagreement behind the others for this reviewer, and for a while out of everybody else's way."""
    now = timezone.now()
    Case.objects.filter(project_id=project_id, item_id=item_id).filter(
        Q(taken_by=user) | Q(taken_until=None) | Q(taken_until__lt=now)
    ).update(taken_by=user, taken_until=now + TAKEN_FOR, left_at=now)


def open_cases(project_id: int, threshold: float) -> QuerySet[Case]:
    """Disagreements under the threshold that nobody decided, of items that are still labelled."""
    decided = Decision.objects.filter(item=OuterRef("item"))
    return Case.objects.filter(
        ~Exists(decided),
        project_id=project_id,
        agreement__lt=threshold,
        item__archived_at=None,
        item__split=Item.Split.POOL,
    )


def replace_checks(*, project_id: int, entries: Sequence[tuple[int, str, float]]) -> int:
    """What is worth another label from now on: (row, kind, score), first come first served; returns how many.

    What is asked at this moment stays so until its time is up.
    """
    rows = [row for row, _, _ in entries]
    ids = dict(Item.objects.pool().filter(project_id=project_id, row__in=rows).values_list("row", "pk"))
    now = timezone.now()
    with transaction.atomic():
        taken = dict(
            Check.objects.filter(project_id=project_id, taken_until__gt=now).values_list(
                "item_id", "taken_until"
            )
        )
        Check.objects.filter(project_id=project_id).delete()
        made = Check.objects.bulk_create(
            Check(
                project_id=project_id,
                item_id=ids[row],
                kind=kind,
                position=position,
                score=score,
                created_at=now,
                taken_until=taken.get(ids[row]),
            )
            for position, (row, kind, score) in enumerate(entries)
            if row in ids
        )
    return len(made)


def start_report(project_id: int, *, by: User | None = None) -> Job:
    """A job that counts anew; the one that waits or runs already, if there is one."""
    active = Job.objects.active().filter(project_id=project_id, kind=REPORT_JOB).first()
    return active or start_job(kind=REPORT_JOB, project_id=project_id, created_by=by)


def renew_reports() -> int:
    """For the clock: count anew where quality is looked after and answers came since; returns how many jobs began."""
    newer = Annotation.objects.filter(project_id=OuterRef("pk"), created_at__gt=OuterRef("since"))
    report = Report.objects.filter(project_id=OuterRef("pk")).values("counted_at")
    watched = (
        Project.objects.filter(archived_at=None, deleted_at=None)
        .filter(Q(quality__isnull=False) | Q(overlap__gt=1))
        .annotate(since=report[:1])
        .filter(Q(since=None) | Exists(newer))
    )
    started = 0
    for project_id in watched.values_list("pk", flat=True):
        if not Job.objects.active().filter(project_id=project_id, kind=REPORT_JOB).exists():
            start_report(project_id)
            started += 1
    return started


def _already_decided(
    known: Decision | None, message: str = "Somebody else has decided this already."
) -> Conflict:
    """Somebody was faster; `decision` is what to name in order to change theirs."""
    return Conflict(
        message,
        code="already_decided",
        hint="Look at the decision that stands before you change it.",
        decision=None if known is None else {"id": known.pk, "classes": known.classes, "note": known.note},
    )


def _live_item(project: Project, item_id: int) -> Item:
    item = Item.objects.live().filter(project=project, pk=item_id).first()
    if item is None:
        raise NotFound("There is no such item in this project.", hint="It may be archived or deleted.")
    return item


def _checked_classes(project: Project, classes: Sequence[str]) -> list[str]:
    """Classes that an answer could name, or Invalid."""
    keys = frozenset(label.key for label in project.schema.active_classes())
    try:
        [region] = parse_regions(
            [{"kind": "choice", "classes": list(classes)}], classes=keys, task=project.task
        )
    except RegionError as error:
        raise Invalid(str(error), code="invalid_classes") from error
    return list(region["classes"])
