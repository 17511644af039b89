"""Who may do what: one function per question. Strangers get 404, members without the right 403."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser

from annotator.accounts.models import User
from annotator.common import sql
from annotator.common.errors import Conflict, Forbidden, NotFound
from annotator.projects.models import Project, Role

ANNOTATORS = frozenset({Role.OWNER, Role.MANAGER, Role.REVIEWER, Role.ANNOTATOR})
REVIEWERS = frozenset({Role.OWNER, Role.MANAGER, Role.REVIEWER})
MANAGERS = frozenset({Role.OWNER, Role.MANAGER})
OWNERS = frozenset({Role.OWNER})
# Annotators work blind: they see the queue one item at a time, never the others' labels.
INSPECTORS = REVIEWERS | {Role.VIEWER}


# Asked on every request, so plain SQL.
STANDING = """
SELECT m.role, p.archived_at IS NOT NULL
FROM projects_project p LEFT JOIN projects_membership m ON m.project_id = p.id AND m.user_id = %s
WHERE p.id = %s AND p.deleted_at IS NULL
"""


@dataclass(frozen=True)
class Can:
    """What a person may do in one project; templates read it."""

    role: Role
    archived: bool = False

    @property
    def annotate(self) -> bool:
        return self.role in ANNOTATORS and not self.archived

    @property
    def inspect(self) -> bool:
        return self.role in INSPECTORS

    @property
    def review(self) -> bool:
        return self.role in REVIEWERS

    @property
    def manage(self) -> bool:
        return self.role in MANAGERS

    @property
    def own(self) -> bool:
        return self.role in OWNERS


def role_in(user: User | AnonymousUser, project_id: int) -> Role | None:
    """The person's role in a live project; administrators count as owners. One query."""
    known = _standing(user, project_id)
    return known.role if known else None


def require_role(user: User | AnonymousUser, project_id: int, roles: frozenset[Role] | None = None) -> Role:
    """The person's role in the project, or NotFound for strangers, Forbidden for the wrong role. One query.

    In an archived project nobody labels (Conflict); looking and managing go on.
    """
    return _require(user, project_id, roles).role


def open_project(
    user: User | AnonymousUser, project_id: int, *, roles: frozenset[Role] | None = None
) -> tuple[Project, Can]:
    """The project and what the person may do there, or NotFound / Forbidden."""
    can = _require(user, project_id, roles)
    return Project.objects.get(pk=project_id), can


def _standing(user: User | AnonymousUser, project_id: int) -> Can | None:
    if not user.is_authenticated:
        return None
    found = sql.read(STANDING, [user.pk, project_id])
    if not found:
        return None
    role, archived = (Role.OWNER, found[0][1]) if user.is_superuser else found[0]
    return Can(Role(role), archived=archived) if role else None


def _require(user: User | AnonymousUser, project_id: int, roles: frozenset[Role] | None) -> Can:
    can = _standing(user, project_id)
    if can is None:
        raise NotFound("There is no such project.", hint="It may have been deleted, or you are not a member.")
    if roles is not None and can.role not in roles:
        raise Forbidden("Your role in this project does not allow this.", hint="Ask the project's owner.")
    if roles == ANNOTATORS and can.archived:
        raise Conflict("This project is archived.", code="archived", hint="Its owner can bring it back.")
    return can


def can_view(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id)


def can_annotate(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id, roles=ANNOTATORS)


def can_inspect(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id, roles=INSPECTORS)


def can_review(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id, roles=REVIEWERS)


def can_manage(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id, roles=MANAGERS)


def can_own(user: User | AnonymousUser, project_id: int) -> tuple[Project, Can]:
    return open_project(user, project_id, roles=OWNERS)


def may_listen(user: User | AnonymousUser, project_id: int) -> bool:
    """Whether the person may receive the project's live events."""
    return role_in(user, project_id) is not None
