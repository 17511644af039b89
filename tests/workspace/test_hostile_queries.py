"""Addresses and bodies that try to reach further than allowed: filters through relations, numbers out of range, NULs."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.plugin import DjangoDbBlocker

from annotator.items.models import Item
from annotator.labeling.models import Annotation, Draft, ItemLease
from annotator.projects.models import Role
from tests.factories import choice, make_items
from tests.workspace.routes import Route, project_routes
from tests.workspace.test_access_matrix import TABLE, client_of, undone, url_of
from tests.workspace.world import World, make_world

pytestmark = pytest.mark.django_db

CHAINS = (
    "created_by__password__startswith", "project__created_by__password", "annotations__annotator__password",
    "memberships__user__password__gte", "job__created_by__password",
)  # fmt: skip
ORDERINGS = ("order", "order_by", "ordering", "sort", "o")
# Sent together, but for `after`, whose refusal would hide the others'.
KNOWN = (
    ("after",),
    (
        *(
            "limit",
            "split",
            "archived",
            "external_id",
            "state",
            "kind",
            "labels",
            "q",
            "view",
            "part",
            "show",
        ),
        *("item", "annotator", "since", "current", "schema_version", "withdrawn", "source"),
        *("version", "variant", "original", "page"),
    ),
)
HOSTILE = (CHAINS[0], "\x00", "9" * 19, "9" * 5000, "-1", "1e9", "٣", "²", "' OR 1=1 --")
# What differs between two answers to the same question.
CHANGING = re.compile(
    rb'nonce="[^"]*"|name="next" value="[^"]*"|csrfmiddlewaretoken" value="[^"]*"|X-CSRFToken": "[^"]*"|age_seconds":[\d.]+'
)

readable = pytest.mark.parametrize(
    "route", [r for r in project_routes() if "GET" in TABLE.get(r.name, {})], ids=lambda route: route.name
)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock(), undone():
        yield make_world()


@pytest.fixture
def owner(world: World) -> Client:
    return client_of(world.owner)


@pytest.fixture
def annotator(world: World) -> Client:
    return client_of(world.people[Role.ANNOTATOR])


def read(client: Client, url: str, query: dict[str, str]) -> tuple[int, bytes]:
    answer = client.get(url, query)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    for name, value in query.items():
        # Links to the next page or to this one may repeat the question.
        content = content.replace(f"{name}={value}".encode(), b"")
    return answer.status_code, CHANGING.sub(b"", content)


def post(client: Client, world: World, name: str, body: Any, method: str = "post", **arguments: Any) -> Any:
    url = reverse(f"api:{name}", kwargs={"project_id": world.project.pk, **arguments})
    with undone():
        return getattr(client, method)(url, json.dumps(body), content_type="application/json")


@readable
def test_names_that_are_no_filters_change_nothing(route: Route, world: World, owner: Client) -> None:
    url = url_of(route, world)
    plain = read(owner, url, {})
    assert read(owner, url, dict.fromkeys(CHAINS, "a")) == plain
    assert read(owner, url, dict.fromkeys(ORDERINGS, "-created_by__password")) == plain


@readable
def test_no_value_of_a_filter_breaks_a_page(route: Route, world: World, owner: Client) -> None:
    url = url_of(route, world)
    for names in KNOWN:
        for value in HOSTILE:
            status, _ = read(owner, url, dict.fromkeys(names, value))
            assert status < 500, (names, value[:40])


def test_an_unknown_filter_value_shows_no_more_than_the_plain_page(world: World, owner: Client) -> None:
    url = reverse("items:list", args=[world.project.pk])
    shown = [entry.item.pk for entry in owner.get(url).context["shown"]]
    for name in ("split", "labels", "archived"):
        answer = owner.get(url, {name: "project__created_by__password"})
        assert [entry.item.pk for entry in answer.context["shown"]] == shown


NUMBERS = (0, -1, 2**31, 2**63, 10**30)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["annotations", "withdraw", "skips"])
def test_items_that_cannot_be_are_not_found(world: World, annotator: Client, name: str, number: int) -> None:
    body = {
        "id": str(uuid.uuid4()), "holder": str(uuid.uuid4()), "item": number, "schema_version": 1,
        "regions": choice("cat"),
    }  # fmt: skip
    assert post(annotator, world, name, body).status_code in (400, 404)


@pytest.mark.parametrize("number", NUMBERS)
def test_schema_versions_that_cannot_be_are_refused(world: World, annotator: Client, number: int) -> None:
    body = {
        "id": str(uuid.uuid4()), "item": world.lease.item_id, "schema_version": number, "regions": choice("cat"),
    }  # fmt: skip
    assert post(annotator, world, "annotations", body).status_code in (400, 422)


@pytest.mark.parametrize("name", ["items_archive", "items_restore"])
@pytest.mark.parametrize("number", NUMBERS)
def test_lists_of_items_that_cannot_be_touch_nothing(
    world: World, owner: Client, name: str, number: int
) -> None:
    answer = post(owner, world, name, {"items": [number]})
    assert answer.status_code == 400 or answer.json() == {"count": 0}


HOSTILE_REGIONS = (
    [{"kind": "choice", "classes": ["\x00"]}],
    [{"kind": "choice", "classes": [{"a": 1}]}],
    [{"kind": "choice", "classes": "cat"}],
    [{"kind": "choice", "classes": None}],
    [{"kind": "choice", "classes": ["cat"], "extra": 1e400}],
    [{"kind": ["choice"]}],
    [{"kind": "\ud800", "classes": []}],
    [{}],
    [],
)


@pytest.mark.parametrize("regions", HOSTILE_REGIONS, ids=str)
def test_regions_that_mean_nothing_are_refused_and_stored_nowhere(
    world: World, annotator: Client, regions: Any
) -> None:
    body = {"id": str(uuid.uuid4()), "item": world.lease.item_id, "schema_version": 1, "regions": regions}
    assert post(annotator, world, "annotations", body).status_code in (400, 422)
    known = world.arguments["annotation_id"]
    assert not Annotation.objects.filter(project=world.project).exclude(pk=known).exists()


@pytest.mark.parametrize("regions", HOSTILE_REGIONS, ids=str)
def test_any_draft_is_kept_or_refused_in_words(world: World, annotator: Client, regions: Any) -> None:
    answer = post(annotator, world, "draft", {"regions": regions}, "put", item_id=world.lease.item_id)
    assert answer.status_code in (204, 400, 422)


@pytest.mark.parametrize(
    "body", [[], "text", 7, None, {"holder": []}, {"holder": "x", "count": "many"}], ids=str
)
@pytest.mark.parametrize("name", ["next", "annotations", "withdraw", "skips", "renew", "release"])
def test_bodies_of_the_wrong_shape_are_refused_in_words(
    world: World, annotator: Client, name: str, body: Any
) -> None:
    answer = post(annotator, world, name, body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"regions": ' * 5_000, '{"holder": "\\u0000"}', '{"a": {"\\ud800": 1}}', "nonsense", ""],
)
def test_json_that_nothing_can_keep_is_refused_in_words(world: World, annotator: Client, text: str) -> None:
    url = reverse("api:draft", args=[world.project.pk, world.lease.item_id])
    answer = annotator.put(url, text, content_type="application/json")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_pair_of_surrogates_is_a_character_like_any_other(world: World, annotator: Client) -> None:
    url = reverse("api:draft", args=[world.project.pk, world.lease.item_id])
    with undone():
        text = '{"regions": [{"note": "\\ud83d\\ude00"}]}'
        assert annotator.put(url, text, content_type="application/json").status_code == 204
        assert Draft.objects.get(item=world.lease.item_id).regions == [{"note": "😀"}]


@pytest.fixture
def foreign_item() -> Item:
    elsewhere = make_world()
    [item] = make_items(elsewhere.project, 1)
    return item


def test_another_projects_item_cannot_be_answered_skipped_or_taken_back(
    world: World, annotator: Client, foreign_item: Item
) -> None:
    for name in ("annotations", "withdraw", "skips"):
        body = {
            "id": str(uuid.uuid4()), "holder": str(uuid.uuid4()), "item": foreign_item.pk, "schema_version": 1,
            "regions": choice("cat"),
        }  # fmt: skip
        assert post(annotator, world, name, body).status_code == 404


def test_another_projects_items_are_not_archived_restored_or_deleted(
    world: World, owner: Client, foreign_item: Item
) -> None:
    for name in ("items_archive", "items_restore"):
        assert post(owner, world, name, {"items": [foreign_item.pk]}).json() == {"count": 0}
    for action in ("archive", "restore", "delete"):
        owner.post(
            reverse("items:change", args=[world.project.pk]), {"action": action, "item": foreign_item.pk}
        )
    foreign_item.refresh_from_db()
    assert foreign_item.archived_at is None


def test_somebody_elses_claims_are_neither_renewed_nor_released(world: World, owner: Client) -> None:
    tokens = {"tokens": [str(world.lease.token)]}
    assert post(owner, world, "renew", tokens).json() == {"tokens": []}
    url = reverse("api:release", args=[world.project.pk])
    assert owner.post(url, json.dumps(tokens), content_type="application/json").status_code == 204
    assert ItemLease.objects.filter(pk=world.lease.pk).exists()
    assert not Draft.objects.exclude(item=world.lease.item).exists()


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil"]
)
def test_after_a_change_of_items_one_stays_on_this_site(world: World, owner: Client, back: str) -> None:
    with undone():
        answer = owner.post(
            reverse("items:change", args=[world.project.pk]),
            {"action": "archive", "item": world.items[1].pk, "next": back},
        )
    assert answer["Location"].startswith(reverse("items:list", args=[world.project.pk]))
