"""Every route of projects x every role x a foreign project."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotator.projects import membership
from annotator.projects.models import Invitation, Project, Role
from tests.factories import join, make_project, make_user

pytestmark = pytest.mark.django_db

MEMBERS = frozenset(Role)
MANAGERS = frozenset({Role.OWNER, Role.MANAGER})
OWNERS = frozenset({Role.OWNER})

# (method, name, takes a person or an invitation, body, who may)
PAGES = [
    ("get", "projects:settings", None, {}, MANAGERS),
    ("post", "projects:settings", None, {"name": "New"}, MANAGERS),
    ("post", "projects:archive", None, {}, MANAGERS),
    ("post", "projects:unarchive", None, {}, MANAGERS),
    ("post", "projects:delete", None, {"name": "wrong"}, OWNERS),
    ("get", "projects:members", None, {}, MANAGERS),
    ("post", "projects:members", None, {"username": "nobody", "role": "viewer"}, MANAGERS),
    ("post", "projects:change_role", "person", {"role": "viewer"}, MANAGERS),
    ("post", "projects:remove_member", "person", {}, MANAGERS),
    ("post", "projects:invite", None, {"role": "viewer", "days": "1"}, MANAGERS),
    ("post", "projects:revoke_invitation", "invitation", {}, MANAGERS),
    ("get", "projects:schema", None, {}, MANAGERS),
    ("post", "projects:schema", None, {"action": "preview"}, MANAGERS),
]
EDIT = {"base_version": 1, "operations": [{"op": "add", "name": "Owl"}]}
API = [
    ("get", "api:project", None, {}, MEMBERS),
    ("patch", "api:project", None, {"description": "x"}, MANAGERS),
    ("delete", "api:project", None, {}, OWNERS),
    ("get", "api:project_schema", None, {}, MEMBERS),
    ("post", "api:project_schema", None, EDIT, MANAGERS),
    ("post", "api:schema_preview", None, EDIT, MANAGERS),
    ("get", "api:members", None, {}, MANAGERS),
    ("post", "api:members", None, {"username": "nobody", "role": "viewer"}, MANAGERS),
    ("patch", "api:member", "person", {"role": "viewer"}, MANAGERS),
    ("delete", "api:member", "person", {}, MANAGERS),
    ("get", "api:invitations", None, {}, MANAGERS),
    ("post", "api:invitations", None, {"role": "viewer"}, MANAGERS),
    ("delete", "api:invitation", "invitation", {}, MANAGERS),
]
IDS = [f"{method} {name}" for method, name, *_ in PAGES + API]


def call(client: Client, route, project: Project):
    method, name, target, body, _ = route
    args = [project.pk]
    if target == "person":
        args.append(project.memberships.exclude(role=Role.OWNER).order_by("pk")[0].user_id)
    if target == "invitation":
        membership.invite(project=project, role=Role.VIEWER, days=1, by=project.created_by)
        args.append(Invitation.objects.get(project=project).pk)
    extra = {"content_type": "application/json"} if name.startswith("api:") and method != "get" else {}
    return getattr(client, method)(reverse(name, args=args), body, **extra)


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def project_with_somebody() -> Project:
    project = make_project()
    join(project)
    return project


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("route", PAGES + API, ids=IDS)
def test_members_do_what_their_role_allows(route, role):
    project = project_with_somebody()
    user = project.created_by if role == Role.OWNER else join(project, role)
    status = call(client_of(user), route, project).status_code
    assert (status != 403) == (role in route[4])
    assert status not in (404, 500)


@pytest.mark.parametrize("route", PAGES + API, ids=IDS)
def test_a_foreign_project_is_not_there(route):
    project, own = project_with_somebody(), project_with_somebody()
    assert call(client_of(own.created_by), route, project).status_code == 404


@pytest.mark.parametrize("route", PAGES + API, ids=IDS)
def test_without_an_account_one_is_asked_who_one_is(route):
    answer = call(Client(), route, project_with_somebody())
    if route[1].startswith("api:"):
        assert answer.status_code == 401
    else:
        assert answer["Location"].startswith(reverse("accounts:login"))


@pytest.mark.parametrize("route", [r for r in PAGES + API if r[0] != "get"], ids=lambda r: f"{r[0]} {r[1]}")
def test_a_session_changes_nothing_without_the_csrf_token(route):
    project = project_with_somebody()
    client = Client(enforce_csrf_checks=True)
    client.force_login(project.created_by)
    assert call(client, route, project).status_code == 403


@pytest.mark.parametrize("route", PAGES + API, ids=IDS)
def test_administrators_may_everything_without_being_members(route):
    project = project_with_somebody()
    admin = make_user(is_staff=True, is_superuser=True)
    assert call(client_of(admin), route, project).status_code not in (403, 404, 500)
