"""What project pages and the API read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotator.accounts.models import User
from annotator.projects import ports
from annotator.projects.changes import Change, changes
from annotator.projects.models import Invitation, LabelSchema, Membership, Project, Role
from annotator.projects.ports import Progress
from annotator.projects.schema import FIELDS, Classes, ClassState


@dataclass(frozen=True)
class ProjectCard:
    project: Project
    role: Role
    progress: Progress


@dataclass(frozen=True)
class Preview:
    """What saving would do. `answers` is how many answers that count now the changes touch."""

    changes: list[Change]
    classes: Classes
    answers: int


def project_cards(user: User, *, archived: bool = False) -> list[ProjectCard]:
    """The person's projects, newest first, each with their role and how far it is. A fixed number of queries."""
    projects = list(Project.objects.visible_to(user).filter(archived_at__isnull=not archived).order_by("-pk"))
    keys = [project.pk for project in projects]
    roles = roles_of(user, keys)
    progress = ports.labeling().progress_of(keys) if keys else {}
    return [ProjectCard(p, roles[p.pk], progress.get(p.pk, Progress())) for p in projects]


def roles_of(user: User, project_ids: Sequence[int]) -> dict[int, Role]:
    """The person's role in each of these projects, which they can see; administrators count as owners."""
    if user.is_superuser:
        return dict.fromkeys(project_ids, Role.OWNER)
    found = Membership.objects.filter(user=user, project__in=project_ids).values_list("project_id", "role")
    return {project_id: Role(role) for project_id, role in found}


def has_projects(user: User, *, archived: bool) -> bool:
    return Project.objects.visible_to(user).filter(archived_at__isnull=not archived).exists()


def members(project: Project) -> QuerySet[Membership]:
    return project.memberships.select_related("user").order_by("user__username")


def owners(project: Project) -> QuerySet[Membership]:
    return project.memberships.filter(role=Role.OWNER, user__is_active=True)


def open_invitations(project: Project) -> QuerySet[Invitation]:
    """Links that somebody could still follow."""
    return (
        Invitation.objects.filter(
            project=project, accepted_at=None, expires_at__gt=timezone.now(), invited_by__is_active=True
        )
        .select_related("invited_by")
        .order_by("-pk")
    )


def past_invitations(project: Project) -> QuerySet[Invitation]:
    """Links that were used or ran out."""
    return (
        Invitation.objects.filter(project=project)
        .filter(Q(accepted_at__isnull=False) | Q(expires_at__lte=timezone.now()))
        .select_related("accepted_by")
        .order_by("-pk")
    )


def people_to_add(project: Project) -> QuerySet[User]:
    """Active accounts that are not members yet."""
    mine = Membership.objects.filter(project=project, user=OuterRef("pk"))
    return User.objects.filter(~Exists(mine), is_active=True).order_by("username")


def class_states(schema: LabelSchema) -> Classes:
    """A stored version as values."""
    return tuple(
        ClassState(**{field: getattr(c, field) for field in FIELDS})
        for c in schema.classes.order_by("order", "pk")
    )


def versions(project: Project) -> QuerySet[LabelSchema]:
    return project.schemas.select_related("created_by").order_by("-version")


def version_changes(project: Project, *, since: int, until: int) -> list[Change]:
    """What the versions after `since`, up to `until`, changed together."""
    found = {s.version: s for s in project.schemas.filter(version__in=(since, until))}
    if since not in found or until not in found:
        return []
    return changes(class_states(found[since]), class_states(found[until]))


def preview(project: Project, *, before: Classes, after: Classes) -> Preview:
    """What saving `after` in place of `before` would do to answers and the model."""
    found = changes(before, after, answers=ports.labeling().answers_by_class(project.pk))
    touched = {c.key: c.answers for c in found if c.kind in ("merge", "retire", "reactivate")}
    return Preview(found, after, sum(touched.values()))


def class_json(states: Sequence[ClassState]) -> list[Mapping[str, Any]]:
    return [{field: getattr(state, field) for field in FIELDS} for state in states]
