"""Every route, every role, a foreign project: who gets in where, from the resolver's own list of routes.

A new route fails here until its row says who may use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from annotator.accounts.models import User
from annotator.projects.access import ANNOTATORS, INSPECTORS, MANAGERS, OWNERS, REVIEWERS
from annotator.projects.models import Project, Role
from tests.factories import make_user
from tests.workspace.routes import Route, all_routes, project_routes
from tests.workspace.world import World, make_stranger, make_world, token_of

pytestmark = pytest.mark.django_db

EVERYBODY = frozenset(Role)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Route -> method -> who may. All other methods are refused to everybody.
TABLE: dict[str, dict[str, frozenset[Role]]] = {
    "workspace:dashboard": {"GET": EVERYBODY},
    "workspace:health": {"GET": EVERYBODY},
    "workspace:curve": {"GET": EVERYBODY},
    "workspace:balance": {"GET": INSPECTORS},
    "workspace:annotate": {"GET": ANNOTATORS},
    "items:list": {"GET": INSPECTORS},
    "items:detail": {"GET": INSPECTORS},
    "items:change": {"POST": MANAGERS},
    "items:asset": {"GET": EVERYBODY},
    "items:thumbnail": {"GET": EVERYBODY},
    "jobs:list": {"GET": INSPECTORS},
    "jobs:card": {"GET": INSPECTORS},
    "jobs:cancel": {"POST": MANAGERS},
    "learning:settings": {"GET": MANAGERS, "POST": MANAGERS},
    "learning:stream": {"GET": MANAGERS, "POST": MANAGERS},
    "learning:reset-stream": {"POST": MANAGERS},
    "learning:models": {"GET": INSPECTORS},
    "learning:health": {"GET": INSPECTORS},
    "learning:use": {"POST": MANAGERS},
    "learning:start-round": {"POST": MANAGERS},
    "learning:cancel-round": {"POST": MANAGERS},
    "learning:replay": {"GET": INSPECTORS, "POST": MANAGERS},
    "learning:evidence": {"GET": INSPECTORS},
    "learning:evidence-curve": {"GET": INSPECTORS},
    "learning:measure": {"POST": MANAGERS},
    "learning:go-on": {"POST": MANAGERS},
    "learning:whatif": {"GET": INSPECTORS, "POST": MANAGERS},
    "learning:lab": {"GET": INSPECTORS, "POST": MANAGERS},
    "learning:backtest": {"GET": INSPECTORS},
    "learning:backtest-curve": {"GET": INSPECTORS},
    "learning:backtest-use": {"POST": MANAGERS},
    "learning:backtest-resume": {"POST": MANAGERS},
    "learning:backtest-cancel": {"POST": MANAGERS},
    "learning:backtest-delete": {"POST": MANAGERS},
    "api:round_replay": {"POST": MANAGERS},
    "api:evidence": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:preview": {"POST": MANAGERS},
    "api:backtests": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:backtest_estimate": {"POST": MANAGERS},
    "api:backtest": {"GET": INSPECTORS, "DELETE": MANAGERS},
    "api:backtest_cancel": {"POST": MANAGERS},
    "api:backtest_resume": {"POST": MANAGERS},
    "api:backtest_use": {"POST": MANAGERS},
    "projects:settings": {"GET": MANAGERS, "POST": MANAGERS},
    "projects:archive": {"POST": MANAGERS},
    "projects:unarchive": {"POST": MANAGERS},
    "projects:delete": {"POST": OWNERS},
    "projects:members": {"GET": MANAGERS, "POST": MANAGERS},
    "projects:change_role": {"POST": MANAGERS},
    "projects:remove_member": {"POST": MANAGERS},
    "projects:invite": {"POST": MANAGERS},
    "projects:revoke_invitation": {"POST": MANAGERS},
    "projects:schema": {"GET": MANAGERS, "POST": MANAGERS},
    "transfer:import": {"GET": MANAGERS, "POST": MANAGERS},
    "transfer:import_urls": {"POST": MANAGERS},
    "transfer:import_bucket": {"POST": MANAGERS},
    "transfer:server": {"GET": MANAGERS, "POST": MANAGERS},
    "transfer:check": {"GET": MANAGERS},
    "transfer:check_errors": {"GET": MANAGERS},
    "transfer:picture": {"GET": MANAGERS},
    "transfer:mapping": {"GET": MANAGERS, "POST": MANAGERS},
    "transfer:report": {"GET": MANAGERS},
    "transfer:report_errors": {"GET": MANAGERS},
    "transfer:exports": {"GET": INSPECTORS, "POST": MANAGERS},
    "transfer:losses": {"GET": MANAGERS},
    "transfer:export": {"GET": INSPECTORS},
    "transfer:export_download": {"GET": INSPECTORS},
    "transfer:export_delete": {"POST": MANAGERS},
    "transfer:snapshots": {"GET": MANAGERS, "POST": MANAGERS},
    "transfer:snapshot_delete": {"POST": OWNERS},
    "quality:overview": {"GET": REVIEWERS},
    "quality:renew": {"POST": REVIEWERS},
    "quality:settings": {"GET": MANAGERS, "POST": MANAGERS},
    "quality:adjudicate": {"GET": REVIEWERS},
    "quality:gold": {"GET": MANAGERS, "POST": MANAGERS},
    "quality:remove_gold": {"POST": MANAGERS},
    "api:quality": {"GET": REVIEWERS, "POST": REVIEWERS},
    "api:quality_settings": {"GET": REVIEWERS, "PATCH": MANAGERS},
    "api:quality_cases": {"GET": REVIEWERS},
    "api:quality_next_case": {"POST": REVIEWERS},
    "api:quality_case": {"GET": REVIEWERS},
    "api:quality_leave": {"POST": REVIEWERS},
    "api:quality_decisions": {"GET": REVIEWERS, "POST": REVIEWERS},
    "api:quality_decision": {"DELETE": REVIEWERS},
    "api:quality_gold": {"GET": MANAGERS, "POST": MANAGERS},
    "api:quality_gold_item": {"DELETE": MANAGERS},
    "api:quality_checks": {"GET": MANAGERS},
    "hooks:webhooks": {"GET": MANAGERS, "POST": MANAGERS},
    "hooks:webhook": {"GET": MANAGERS, "POST": MANAGERS},
    "hooks:rotate": {"POST": MANAGERS},
    "hooks:switch": {"POST": MANAGERS},
    "hooks:test": {"POST": MANAGERS},
    "hooks:delete": {"POST": MANAGERS},
    "hooks:delivery": {"GET": MANAGERS},
    "hooks:again": {"POST": MANAGERS},
    "api:webhooks": {"GET": MANAGERS, "POST": MANAGERS},
    "api:webhook": {"GET": MANAGERS, "PATCH": MANAGERS, "DELETE": MANAGERS},
    "api:webhook_rotate": {"POST": MANAGERS},
    "api:webhook_test": {"POST": MANAGERS},
    "api:deliveries": {"GET": MANAGERS},
    "api:delivery": {"GET": MANAGERS},
    "api:delivery_again": {"POST": MANAGERS},
    "api:annotation": {"GET": INSPECTORS},
    "api:item_history": {"GET": INSPECTORS},
    "api:metrics": {"GET": INSPECTORS},
    "api:queue": {"GET": INSPECTORS},
    "api:items_delete": {"POST": MANAGERS},
    "api:round": {"GET": INSPECTORS},
    "api:round_cancel": {"POST": MANAGERS},
    "api:model": {"GET": INSPECTORS},
    "api:prediction_sources": {"GET": INSPECTORS},
    "api:schema_versions": {"GET": MANAGERS},
    "api:next": {"POST": ANNOTATORS},
    "api:annotations": {"GET": INSPECTORS, "POST": ANNOTATORS},
    "api:withdraw": {"POST": ANNOTATORS},
    "api:recent": {"GET": ANNOTATORS},
    "api:skips": {"GET": INSPECTORS, "POST": ANNOTATORS},
    "api:withdraw_skip": {"POST": ANNOTATORS},
    "api:draft": {"GET": ANNOTATORS, "PUT": ANNOTATORS, "DELETE": ANNOTATORS},
    "api:renew": {"POST": ANNOTATORS},
    "api:release": {"POST": ANNOTATORS},
    "api:items": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:item": {"GET": INSPECTORS, "DELETE": MANAGERS},
    "api:items_archive": {"POST": MANAGERS},
    "api:items_restore": {"POST": MANAGERS},
    "api:asset": {"GET": EVERYBODY},
    "api:jobs": {"GET": INSPECTORS},
    "api:job": {"GET": INSPECTORS},
    "api:job_cancel": {"POST": MANAGERS},
    "api:learning": {"GET": INSPECTORS, "PATCH": MANAGERS},
    "api:rounds": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:models": {"GET": INSPECTORS},
    "api:model-use": {"POST": MANAGERS},
    "api:health": {"GET": INSPECTORS},
    "api:predictions": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:strategies": {"GET": INSPECTORS},
    "api:encoders": {"GET": INSPECTORS},
    "api:presets": {"GET": INSPECTORS},
    "api:stream": {"GET": INSPECTORS, "PATCH": MANAGERS},
    "api:stream_reset": {"POST": MANAGERS},
    "api:offers": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:offer": {"GET": INSPECTORS},
    "api:project": {"GET": EVERYBODY, "PATCH": MANAGERS, "DELETE": OWNERS},
    "api:project_schema": {"GET": EVERYBODY, "POST": MANAGERS},
    "api:schema_preview": {"POST": MANAGERS},
    "api:members": {"GET": MANAGERS, "POST": MANAGERS},
    "api:member": {"GET": MANAGERS, "PATCH": MANAGERS, "DELETE": MANAGERS},
    "api:invitations": {"GET": MANAGERS, "POST": MANAGERS},
    "api:invitation": {"DELETE": MANAGERS},
    "api:imports": {"GET": MANAGERS, "POST": MANAGERS},
    "api:imports_folder": {"GET": MANAGERS, "POST": MANAGERS},
    "api:exports_preview": {"POST": MANAGERS},
    "api:imports_urls": {"POST": MANAGERS},
    "api:imports_bucket": {"GET": MANAGERS, "POST": MANAGERS},
    "api:import": {"GET": MANAGERS},
    "api:import_errors": {"GET": MANAGERS},
    "api:import_start": {"POST": MANAGERS},
    "api:uploads": {"POST": MANAGERS},
    "api:upload": {"GET": MANAGERS, "PUT": MANAGERS, "DELETE": MANAGERS},
    "api:upload_complete": {"POST": MANAGERS},
    "api:exports": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:export": {"GET": INSPECTORS, "DELETE": MANAGERS},
    "api:export_download": {"GET": INSPECTORS},
    "api:snapshots": {"GET": INSPECTORS, "POST": MANAGERS},
    "api:snapshot": {"GET": INSPECTORS, "DELETE": OWNERS},
}
# Bodies for views that look at what is sent before they look for the object.
BODIES: dict[str, dict[str, Any]] = {
    "projects:change_role": {"role": "reviewer"},
    "api:member": {"role": "reviewer"},
    "api:draft": {"regions": []},
    "api:tokens": {"name": "program"},
    "api:backtest_use": {"name": "margin"},
    "api:withdraw_skip": {"holder": "00000000-0000-0000-0000-000000000001"},
}
# Nobody but the annotator in whose hands they are may touch these; the test's belong to the one who is an annotator.
PERSONAL = {"api:draft", "api:withdraw_skip"}
ANSWERED = {200, 201, 202, 204, 302, 400, 409, 422}

every_route = pytest.mark.parametrize("route", project_routes(), ids=lambda route: route.name)
every_route_to_an_object = pytest.mark.parametrize(
    "route", [r for r in project_routes() if len(r.arguments) > 1], ids=lambda route: route.name
)


@pytest.fixture(scope="module")
def worlds(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[World, World]]:
    """Two projects that know nothing of each other, made once; every request against them is taken back."""
    with django_db_blocker.unblock(), undone():
        yield make_world(), make_world(numbers=7)


@pytest.fixture
def world(worlds: tuple[World, World]) -> World:
    return worlds[0]


@pytest.fixture
def elsewhere(worlds: tuple[World, World]) -> World:
    return worlds[1]


def client_of(user: User | None, **options: Any) -> Client:
    client = Client(raise_request_exception=False, **options)
    if user is not None:
        client.force_login(user)
    return client


def url_of(route: Route, world: World, **others: Any) -> str:
    known = {"project_id": world.project.pk, **world.arguments, **others}
    return reverse(route.name, kwargs={name: known[name] for name in route.arguments})


@contextmanager
def undone() -> Iterator[None]:
    """Whatever a request does is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(client: Client, route: Route, method: str, url: str, **options: Any) -> HttpResponseBase:
    body = BODIES.get(route.name, {})
    values: dict[str, Any] = dict(options)
    if method != "GET" and route.is_api:
        values |= {"data": json.dumps(body), "content_type": "application/json"}
    elif method == "POST":
        values["data"] = body
    with undone():
        answer: HttpResponseBase = getattr(client, method.lower())(url, **values)
    if answer.streaming:
        list(answer)  # read to its end, files are closed
    return answer


def asks_to_sign_in(answer: HttpResponseBase) -> bool:
    if answer.status_code == 302:
        return answer["Location"].startswith(reverse("accounts:login"))
    return answer.status_code == 401


def test_every_route_of_a_project_has_a_row():
    assert {route.name for route in project_routes()} == set(TABLE)


@every_route
def test_roles_get_in_where_the_table_says_and_nowhere_else(route, world):
    url = url_of(route, world)
    for role, user in world.people.items():
        client = client_of(user)
        for method in METHODS:
            status = ask(client, route, method, url).status_code
            allowed = TABLE[route.name].get(method)
            if allowed is None:
                assert status == 405, (method, role, status)
            elif role in allowed and route.name in PERSONAL and role != Role.ANNOTATOR:
                assert status == 404, (method, role, status)
            elif role in allowed:
                assert status in ANSWERED, (method, role, status)
            else:
                assert status == 403, (method, role, status)


@every_route
def test_nobody_gets_in_without_signing_in(route, world):
    client = client_of(None)
    for method in METHODS:
        answer = ask(client, route, method, url_of(route, world))
        refused = asks_to_sign_in(answer)
        assert refused or (method not in TABLE[route.name] and answer.status_code == 405), method


@every_route
def test_a_project_one_is_no_member_of_does_not_exist(route, world):
    """The same answer as for a number that no project has."""
    client = client_of(make_stranger())
    nowhere = url_of(route, world, project_id=10**9)
    for method in TABLE[route.name]:
        answer = ask(client, route, method, url_of(route, world))
        assert answer.status_code == 404, method
        if route.is_api:
            assert answer.json() == ask(client, route, method, nowhere).json()  # type: ignore[attr-defined]


@every_route_to_an_object
def test_objects_of_another_project_do_not_exist_in_ones_own(route, world, elsewhere):
    client = client_of(world.owner)
    for name in set(route.arguments) - {"project_id"}:
        # People exist everywhere; who matters here is somebody that is a member elsewhere only.
        url = url_of(route, world, **{name: elsewhere.arguments[name]})
        for method in TABLE[route.name]:
            assert ask(client, route, method, url).status_code == 404, (method, name)


@every_route_to_an_object
def test_numbers_that_nothing_can_have_are_not_found(route, world):
    client = client_of(world.owner)
    for name in set(route.arguments) - {"project_id", "skip_id", "annotation_id"}:
        url = url_of(route, world, **{name: 10**30})
        for method in TABLE[route.name]:
            assert ask(client, route, method, url).status_code == 404, (method, name)


@every_route
def test_a_deleted_project_is_gone_for_its_owner_too(route, world):
    Project.objects.filter(pk=world.project.pk).update(deleted_at=timezone.now())
    client = client_of(world.owner)
    for method in TABLE[route.name]:
        assert ask(client, route, method, url_of(route, world)).status_code == 404, method


@every_route
def test_a_session_changes_nothing_without_the_csrf_token(route, world):
    client = client_of(world.owner, enforce_csrf_checks=True)
    for method in set(TABLE[route.name]) - {"GET"}:
        answer = ask(client, route, method, url_of(route, world))
        assert answer.status_code == 403, method
        if route.is_api:
            assert "CSRF" in answer.json()["title"]  # type: ignore[attr-defined]


@every_route
def test_a_reading_token_writes_nowhere_and_opens_no_page(route, world):
    headers = token_of(world.owner, "read")
    for method in TABLE[route.name]:
        answer = ask(client_of(None), route, method, url_of(route, world), headers=headers)
        if not route.is_api:
            assert asks_to_sign_in(answer), method
        else:
            reads = {404} if route.name in PERSONAL else ANSWERED
            assert answer.status_code in ({403} if method != "GET" else reads), method


@pytest.mark.parametrize("role", sorted(ANNOTATORS))
def test_nobody_labels_in_an_archived_project(world, role):
    Project.objects.filter(pk=world.project.pk).update(archived_at=timezone.now())
    client = client_of(world.people[role])
    for route in project_routes():
        for method, allowed in TABLE[route.name].items():
            if allowed is ANNOTATORS:
                assert ask(client, route, method, url_of(route, world)).status_code == 409, route.name


def test_an_administrator_may_everything_in_every_project(world):
    client = client_of(make_user(is_superuser=True))
    for route in project_routes():
        for method in TABLE[route.name]:
            status = ask(client, route, method, url_of(route, world)).status_code
            expected = {404} if route.name in PERSONAL else ANSWERED
            assert status in expected, (route.name, method, status)


def test_a_deactivated_member_is_out_at_once(world):
    user = world.people[Role.MANAGER]
    headers, client = token_of(user), client_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    for route in project_routes():
        for method in TABLE[route.name]:
            url = url_of(route, world)
            assert asks_to_sign_in(ask(client, route, method, url)), route.name
            assert asks_to_sign_in(ask(client_of(None), route, method, url, headers=headers)), route.name


# Pages of nobody's project. Behind `True` anybody, else who is signed in, else administrators.
OPEN = {
    "healthz",
    "operations:readyz",
    "operations:metrics",
    "schema",
    "accounts:login",
    "accounts:home",
    "projects:accept_invitation",
}
SIGNED_IN = {
    "accounts:logout", "accounts:profile", "accounts:password_change", "accounts:create_token",
    "accounts:revoke_token", "projects:list", "projects:create", "api:me", "api:tokens", "api:token",
    "api:projects", "api:accept_invitation",
}  # fmt: skip
ADMINISTRATORS = {
    "accounts:people", "accounts:reset_password", "accounts:deactivate", "accounts:reactivate",
    "accounts:set_administrator", "operations:check", "operations:check_browser",
}  # fmt: skip


def test_routes_outside_projects_are_all_accounted_for():
    names = {route.name for route in all_routes() if "project_id" not in route.arguments}
    assert names == OPEN | SIGNED_IN | ADMINISTRATORS


@pytest.mark.parametrize("name", sorted(SIGNED_IN | ADMINISTRATORS))
def test_routes_outside_projects_ask_who_is_there(name):
    [route] = [route for route in all_routes() if route.name == name]
    url = reverse(name, args=[1] * len(route.arguments))
    for method in ("GET", "POST"):
        answer = ask(client_of(None), route, method, url)
        leaves = name == "accounts:logout" and method == "POST"
        assert asks_to_sign_in(answer) or leaves or answer.status_code == 405, method


@pytest.mark.parametrize("name", sorted(ADMINISTRATORS))
def test_the_owner_of_a_project_is_no_administrator(name, world):
    [route] = [route for route in all_routes() if route.name == name]
    url = reverse(name, args=[world.people[Role.ANNOTATOR].pk] * len(route.arguments))
    statuses = {ask(client_of(world.owner), route, method, url).status_code for method in ("GET", "POST")}
    assert statuses <= {403, 405}
    assert 403 in statuses
