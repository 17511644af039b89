"""What happens to projects and their classes. Members and invitations stand in membership.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.common.events import send_event
from annotator.projects import ports, schema, selectors
from annotator.projects.hotkeys import free_hotkey, own_hotkey
from annotator.projects.models import LabelClass, LabelSchema, Membership, Project, Role

SETTINGS = frozenset(
    {
        *("name", "description", "instructions", "overlap", "overlap_share", "lease_seconds", "skip_policy"),
        "show_suggestions",
    }
)
Entry = Mapping[str, Any]


def create_project(
    *,
    name: str,
    modality: str,
    classes: Sequence[Entry],
    by: User,
    task: str = Project.Task.SINGLE,
    **settings: Any,
) -> Project:
    """A project with its first schema version, owned by `by`. Each entry of `classes` needs a `name` or a `key`."""
    first: schema.Classes = ()
    # Keys that were chosen, or that one-character names suggest, must not be given away to a class above.
    wanted = {entry.get("hotkey") or own_hotkey(str(entry.get("name", ""))) for entry in classes}
    for entry in classes:
        values = {"name": entry.get("name") or entry.get("key") or "", **entry}
        if values.get("hotkey") is None:
            own = own_hotkey(values["name"])
            taken = {c.hotkey for c in first}
            values["hotkey"] = free_hotkey(own, taken if own else taken | wanted)
        first = schema.add(first, **values)
    schema.validate(first, task=task)
    _check_settings(settings)
    with transaction.atomic():
        project = Project(name=name, modality=modality, task=task, created_by=by, **settings)
        project.full_clean(exclude=["created_by"])
        project.save()
        Membership.objects.create(project=project, user=by, role=Role.OWNER)
        _store(project, first, version=1, by=by, note="First version")
    return project


def update_project(*, project: Project, **changes: Any) -> Project:
    """Change settings of a project: any of SETTINGS. A new overlap changes the queue at once."""
    _check_settings(changes)
    overlap = changes.pop("overlap", project.overlap)
    share = changes.pop("overlap_share", project.overlap_share)
    for field, value in changes.items():
        setattr(project, field, value)
    project.full_clean(exclude=["created_by"])
    with transaction.atomic():
        if (overlap, share) != (project.overlap, project.overlap_share):
            _check_overlap(overlap, share)
            # Before the row is written: whoever publishes a queue takes its lock first and the row second.
            ports.labeling().set_overlap(project=project, overlap=overlap, share=share)
        project.save(update_fields=[*changes])
        send_event(project.pk, "project")
    return project


def archive_project(*, project: Project) -> None:
    """Stop the labelling; everything stays and can be looked at."""
    if Project.objects.filter(pk=project.pk, archived_at=None).update(archived_at=timezone.now()):
        send_event(project.pk, "project")


def unarchive_project(*, project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(archived_at=None)
    send_event(project.pk, "project")


def delete_project(*, project: Project) -> None:
    """Nobody sees the project from now on. Its rows stay in the database, its keys are never used again."""
    Project.objects.filter(pk=project.pk, deleted_at=None).update(deleted_at=timezone.now())
    send_event(project.pk, "project")


def create_version(
    *,
    project: Project,
    base_version: int,
    by: User,
    operations: Sequence[Entry] | None = None,
    classes: Sequence[Entry] | None = None,
    note: str = "",
) -> LabelSchema:
    """A new schema version, from `operations` on the one before or from the full list `classes`.

    Raises Conflict (`stale_schema`) when somebody saved another version since `base_version`, Invalid when a rule of
    schema.validate is broken or nothing would change.
    """
    with transaction.atomic():
        Project.objects.select_for_update(of=("self",), no_key=True).get(pk=project.pk)
        current = project.schema
        if current.version != base_version:
            raise stale(project, base_version, current.version)
        before = selectors.class_states(current)
        after = next_classes(before, task=project.task, operations=operations, classes=classes)
        if after == before:
            raise Invalid("Nothing would change.", code="no_change")
        made = _store(project, after, version=current.version + 1, by=by, note=note)
        send_event(project.pk, "schema", version=made.version)
    return made


def next_classes(
    before: schema.Classes,
    *,
    task: str,
    operations: Sequence[Entry] | None = None,
    classes: Sequence[Entry] | None = None,
) -> schema.Classes:
    """Classes after the edit, valid for `task`; nothing is stored."""
    if (operations is None) == (classes is None):
        raise Invalid("Give either 'operations' or 'classes'.", code="bad_edit")
    after = schema.target(before, classes) if classes is not None else schema.apply(before, operations or ())
    schema.validate(after, task=task)
    return after


def stale(project: Project, base: int, current: int) -> Conflict:
    """The error for an edit that began at an older version: it says what others changed meanwhile."""
    meanwhile = [c.text for c in selectors.version_changes(project, since=base, until=current)]
    return Conflict(
        f"Somebody saved version {current} of the classes while you were editing version {base}.",
        code="stale_schema",
        hint="Meanwhile: " + " ".join(meanwhile) if meanwhile else "Load the newest version and edit that.",
        current_version=current,
        changes=meanwhile,
    )


def _store(project: Project, classes: schema.Classes, *, version: int, by: User, note: str) -> LabelSchema:
    made = LabelSchema.objects.create(project=project, version=version, note=note[:200], created_by=by)
    LabelClass.objects.bulk_create(
        LabelClass(schema=made, order=order, **entry)
        for order, entry in enumerate(selectors.class_json(classes), start=1)
    )
    return made


def _check_settings(values: Entry) -> None:
    if others := sorted(set(values) - SETTINGS):
        raise Invalid(f"A project has no setting {others[0]!r}.", code="unknown_setting")


def _check_overlap(overlap: int, share: float) -> None:
    Project._meta.get_field("overlap").run_validators(overlap)
    Project._meta.get_field("overlap_share").run_validators(share)
