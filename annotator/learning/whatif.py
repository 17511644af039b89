"""What if another strategy ranked: the next fifty as they would be, beside those that are. Nothing changes. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from acquisition import presets, registry
from annotator.accounts.models import User
from annotator.common.errors import Conflict, NotFound
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.labeling.models import QueueEntry
from annotator.learning import catalogue, services
from annotator.learning.lab_plan import PRESET
from annotator.learning.models import LearningSettings
from annotator.learning.selectors import model_in_use
from annotator.projects.models import Project

WHATIF_JOB = "whatif"
SHOWN = 50
SNIPPET = 120


@dataclass(frozen=True)
class Line:
    """A place of the diff: an item, its place now and then (None: not among the shown), why it is there."""

    item_id: int
    name: str
    now: int | None
    then: int | None
    why: str
    exploration: bool

    @property
    def move(self) -> str:
        if self.now is None:
            return "new"
        if self.then is None:
            return "gone"
        return "same" if self.now == self.then else "up" if self.then < self.now else "down"


def start_preview(*, project: Project, by: User | None, strategy: str, params: Mapping[str, Any]) -> Job:
    """A job that ranks the pool by this strategy, or preset (`preset:<key>`), and keeps the head of the ranking in its
    result; Invalid where it does not fit. The same again is the job that runs; Conflict while another is made."""
    if strategy.startswith(PRESET):
        key = strategy.removeprefix(PRESET)
        complete = catalogue.checked_preset(key, params)
        title = presets.get(key).title
    else:
        cold = model_in_use(project.pk) is None
        complete = catalogue.checked_strategy(strategy, params, task=catalogue.task_of(project), cold=cold)
        title = registry.get(strategy).spec.title
    wanted = {"strategy": strategy, "params": complete, "title": f"Preview of {title}"}
    with transaction.atomic():
        services.settings_of(project)
        # One at a time: the second of two that ask together waits here and sees the first.
        LearningSettings.objects.select_for_update().get(project=project)
        running = (
            Job.objects.active().filter(project=project, kind=WHATIF_JOB, cancel_requested=False).first()
        )
        if running is None:
            return start_job(
                kind=WHATIF_JOB, project_id=project.pk, created_by=by, queue="gpu", params=wanted
            )
        if running.params == wanted:
            return running
        raise Conflict(
            f"{running.params['title']} is being made.",
            code="preview_active",
            hint="Wait for it or cancel it.",
            job=running.pk,
        )


def preview_job(project_id: int, job_id: int | None) -> Job | None:
    """That preview, or the newest."""
    jobs = Job.objects.filter(project_id=project_id, kind=WHATIF_JOB)
    if job_id is None:
        return jobs.order_by("-pk").first()
    found = jobs.filter(pk=job_id).first()
    if found is None:
        raise NotFound("There is no such preview in this project.")
    return found


def next_in_queue(project_id: int) -> list[int]:
    """Item ids of the next entries, in serving order."""
    entries = QueueEntry.objects.open(project_id).order_by("position")
    return list(entries.values_list("item_id", flat=True)[:SHOWN])


def diff(project_id: int, result: Mapping[str, Any]) -> list[Line]:
    """The new order line by line, then what would leave the shown part, in its old order."""
    now = {item: place for place, item in enumerate(result["now"], start=1)}
    then = {row["item"]: (place, row) for place, row in enumerate(result["then"], start=1)}
    names = _names(project_id, [*then, *now])
    lines = [
        Line(item, names.get(item, ""), now.get(item), place, row["why"], row["exploration"])
        for item, (place, row) in then.items()
        if item in names
    ]
    left = [
        Line(item, names[item], place, None, "", exploration=False)
        for item, place in now.items()
        if item not in then and item in names
    ]
    return lines + left


def named(project_id: int, ids: list[int]) -> list[tuple[int, str]]:
    """Items with the beginning of their text or their external id, in this order; deleted ones are left out."""
    names = _names(project_id, ids)
    return [(item, names[item]) for item in ids if item in names]


def _names(project_id: int, ids: list[int]) -> dict[int, str]:
    rows = Item.objects.filter(project_id=project_id, pk__in=ids).values_list("pk", "text", "external_id")
    return {pk: (text or "")[:SNIPPET] or external_id for pk, text, external_id in rows}
