"""What holds for every route of the API: a declared scope, problem documents, pages, idempotency keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from pytest_django.plugin import DjangoDbBlocker

from annotator.common.permissions import declaration_of
from annotator.common.scopes import PUBLIC, SCOPES
from tests.factories import make_user
from tests.workspace.routes import Route, all_routes
from tests.workspace.test_access_matrix import TABLE, client_of, undone, url_of
from tests.workspace.test_hostile_queries import CHAINS, HOSTILE
from tests.workspace.world import World, make_world, token_of

pytestmark = pytest.mark.django_db

API = [route for route in all_routes() if route.is_api]
every_api_route = pytest.mark.parametrize("route", API, ids=lambda route: route.name)
# POSTs that make nothing, make nothing twice, or whose ids the client makes; each is harmless to repeat as it is.
WITHOUT_KEY = {
    "api:next", "api:annotations", "api:withdraw", "api:skips", "api:withdraw_skip", "api:renew", "api:release",
    "api:items_archive", "api:items_restore", "api:items_delete", "api:schema_preview", "api:job_cancel",
    "api:round_cancel", "api:model-use", "api:accept_invitation", "api:delivery_again", "api:import_start",
    "api:upload_complete", "api:exports_preview", "api:backtest_estimate", "api:backtest_cancel",
    "api:backtest_resume", "api:backtest_use",
    "api:stream_reset", "api:quality_next_case", "api:quality_leave",
}  # fmt: skip
PAGED = {
    "api:projects", "api:tokens", "api:members", "api:invitations", "api:schema_versions", "api:webhooks",
    "api:deliveries", "api:jobs", "api:items", "api:rounds", "api:models", "api:annotations", "api:skips",
    "api:backtests", "api:imports", "api:exports", "api:snapshots",
    "api:offers",
}  # fmt: skip


@pytest.fixture(autouse=True)
def patient(settings: Any) -> None:
    """One person asks far more often here than a program may."""
    settings.API_REQUESTS_PER_MINUTE = 0


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock(), undone():
        yield make_world()


def methods_of(route: Route) -> set[str]:
    return {name.upper() for name in route.view.cls.http_method_names if hasattr(route.view.cls, name)}  # type: ignore[attr-defined]


@every_api_route
def test_every_method_of_every_route_names_its_scope(route: Route) -> None:
    declared = declaration_of(route.view.cls)  # type: ignore[attr-defined]
    assert declared is not None, "put @needs(...) under @api_view"
    assert set(declared.scopes) == methods_of(route) - {"OPTIONS", "HEAD"}


@every_api_route
def test_every_route_that_creates_takes_an_idempotency_key(route: Route) -> None:
    declared = declaration_of(route.view.cls)  # type: ignore[attr-defined]
    assert declared is not None
    assert declared.creates == ("POST" in methods_of(route) and route.name not in WITHOUT_KEY)


@every_api_route
def test_a_token_without_the_scope_is_told_which_it_lacks(route: Route, world: World) -> None:
    declared = declaration_of(route.view.cls)  # type: ignore[attr-defined]
    assert declared is not None
    for method, wanted in declared.scopes.items():
        others = [scope for scope in SCOPES if scope not in {*wanted, "manage"}]
        if PUBLIC in wanted:
            continue
        url = url_of(route, world, token_id=1)
        with undone():
            answer = getattr(Client(headers=token_of(world.owner, *others)), method.lower())(url)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), method
        assert answer.json()["scopes"] == list(wanted)


@pytest.mark.parametrize("name", sorted(PAGED))
def test_lists_are_pages_of_any_size_with_a_link_to_the_next(name: str, world: World) -> None:
    [route] = [route for route in API if route.name == name]
    client = client_of(world.owner)
    url = url_of(route, world)
    page = client.get(url, {"limit": 1}).json()
    assert set(page) >= {"results", "next", "next_after"}
    assert len(page["results"]) <= 1
    everything = client.get(url).json()["results"]
    seen = list(page["results"])
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += page["results"]
    assert [json.dumps(row) for row in seen] == [json.dumps(row) for row in everything]
    assert client.get(url, {"limit": 0}).status_code == 400
    assert client.get(url, {"limit": 10**6}).status_code == 400


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v1/projects/x/", "/api/", "/api/v2/me/"])
def test_an_unknown_route_is_a_problem_document(path: str) -> None:
    answer = client_of(make_user()).get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"


def test_a_method_that_a_route_does_not_have_is_a_problem_document() -> None:
    answer = client_of(make_user()).put("/api/v1/me/", "{}", content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert answer.json()["code"] == "method_not_allowed"


@every_api_route
def test_a_body_of_an_unknown_kind_is_refused_in_words(route: Route, world: World) -> None:
    writing = {"POST", "PUT", "PATCH"} & methods_of(route) & set(TABLE.get(route.name, {}))
    for method in writing:
        with undone():
            answer: Any = getattr(client_of(world.owner), method.lower())(
                url_of(route, world), "<xml/>", content_type="text/xml"
            )
        assert answer.status_code in (200, 201, 202, 404, 409, 415, 422), method
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"


def parameters() -> list[tuple[str, str]]:
    """Every query parameter of every GET, from the OpenAPI document: (operation, name)."""
    document = SchemaGenerator().get_schema(public=True)
    return [
        (path, parameter["name"])
        for path, methods in document["paths"].items()
        for parameter in methods.get("get", {}).get("parameters", [])
        if parameter["in"] == "query"
    ]


@pytest.mark.parametrize(("path", "name"), parameters())
def test_no_value_of_any_parameter_shows_more_or_breaks_anything(path: str, name: str, world: World) -> None:
    client = client_of(world.owner)
    url = path.format(**{"project_id": world.project.pk, **world.arguments})
    plain = client.get(url)
    rows = plain.json().get("results") if plain["Content-Type"].startswith("application/json") else None
    for value in (
        *HOSTILE,
        *CHAINS,
        "",
        "null",
        "[]",
        "{}",
        "true",
        "2026-01-01T00:00:00Z~x",
        "%00",
        "a" * 3000,
    ):
        answer = client.get(url, {name: value})
        assert answer.status_code in (200, 400, 404, 409, 422), value[:40]
        if answer.status_code == 200 and rows is not None:
            shown = {json.dumps(row, sort_keys=True) for row in answer.json()["results"]}
            known = {json.dumps(row, sort_keys=True) for row in rows}
            assert shown <= known or name in ("archived", "split", "source"), value[:40]
    for chain in (f"{name}__gt", f"{name}__in", f"{name}__isnull", f"project__{name}", f"{name}__password"):
        assert client.get(url, {chain: "1"}).content == client.get(url).content or rows is None
