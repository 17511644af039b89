"""What is gold, and which answers were checks, is known to managers alone: reviewers label too."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.projects.models import Project, Role
from annotator.quality import serving
from annotator.quality.services import add_gold
from annotator.transfer.models import Export
from tests.factories import join, make_items, make_project
from tests.quality.people import EXPLORED, claim, publish, quality, submit
from tests.quality.test_serving import Always, Never
from tests.workspace.test_api_breadth import Program

pytestmark = pytest.mark.django_db
NOT_MANAGERS = pytest.mark.parametrize("role", [Role.REVIEWER, Role.VIEWER])


@pytest.fixture
def golden() -> tuple[Project, Item, Item]:
    """A project with a gold item and another one, both answered by somebody."""
    serving._known.clear()
    project = make_project()
    gold, other = make_items(project, 2)
    add_gold(project=project, item_id=gold.pk, classes=["cat"], by=None)
    publish(project, [other], EXPLORED)
    quality(project, gold_share=0.1)
    person = join(project)
    for draws in (Always, Never):
        [lease] = claim(project, person, rng=draws())
        submit(project, person, lease.item_id)
    return project, gold, other


def page(project: Project, user: User, name: str, *args: Any, **query: str) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(reverse(f"items:{name}", args=[project.pk, *args]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def rows(program: Program, path: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program("get", path, **query).json()["results"]
    return found


@NOT_MANAGERS
def test_gold_passes_for_the_pool_on_the_pages(golden: tuple[Project, Item, Item], role: str) -> None:
    project, gold, other = golden
    person = join(project, role)
    for query in ({}, {"split": "pool"}, {"split": "gold"}):
        text = page(project, person, "list", **query)
        assert gold.external_id in text
        assert other.external_id in text
        assert "gold" not in text.lower().replace("?split=gold", ""), "but for the address"
    detail = page(project, person, "detail", gold.pk)
    assert "gold" not in detail.lower()
    assert "random draw" in detail, "as whoever answered it saw it"


def test_managers_see_and_filter_gold(golden: tuple[Project, Item, Item]) -> None:
    project, gold, other = golden
    text = page(project, project.created_by, "list", split="gold")
    assert gold.external_id in text
    assert other.external_id not in text
    assert other.external_id in page(project, project.created_by, "list", split="pool")
    assert "Gold: checks people" in page(project, project.created_by, "detail", gold.pk)


@NOT_MANAGERS
def test_gold_passes_for_the_pool_in_the_api(golden: tuple[Project, Item, Item], role: str) -> None:
    project, gold, other = golden
    program, manager = Program(project, join(project, role)), Program(project)
    assert {row["split"] for row in rows(program, "items/")} == {"pool"}
    assert [row["id"] for row in rows(program, "items/", split="pool")] == [gold.pk, other.pk]
    assert rows(program, "items/", split="gold") == []
    assert program("get", f"items/{gold.pk}/").json()["split"] == "pool"
    assert [row["id"] for row in rows(manager, "items/", split="gold")] == [gold.pk]
    assert [row["id"] for row in rows(manager, "items/", split="pool")] == [other.pk]
    assert manager("get", f"items/{gold.pk}/").json()["split"] == "gold"


@NOT_MANAGERS
def test_answers_to_checks_look_like_others(golden: tuple[Project, Item, Item], role: str) -> None:
    project, gold, other = golden
    program = Program(project, join(project, role))
    first, second = (
        program("get", f"items/{item.pk}/history/").json()["annotations"][0] for item in (gold, other)
    )
    assert first["served"] == second["served"]
    assert first["served"]["exploration"] is True
    listed = rows(program, "annotations/")
    assert [row["served"] for row in listed] == [first["served"]] * 2
    assert program("get", f"annotations/{first['id']}/").json()["served"] == first["served"]


def test_managers_are_told_how_each_item_was_served(golden: tuple[Project, Item, Item]) -> None:
    project, gold, other = golden
    manager = Program(project)
    [answer] = manager("get", f"items/{gold.pk}/history/").json()["annotations"]
    assert answer["served"]["check"] == {"kind": "gold"}
    [answer] = manager("get", f"items/{other.pk}/history/").json()["annotations"]
    assert answer["served"] == EXPLORED


def test_where_there_are_no_checks_reviewers_are_told_all_of_it() -> None:
    serving._known.clear()
    project = make_project()
    publish(project, make_items(project, 1), EXPLORED)
    person = join(project)
    [lease] = claim(project, person)
    submit(project, person, lease.item_id)
    [answer] = rows(Program(project, join(project, Role.REVIEWER)), "annotations/")
    assert answer["served"] == EXPLORED


def exported(project: Project, form: str) -> Export:
    export = Export.objects.create(
        project=project, format=form, files=[{"name": "records.jsonl", "size": 3, "sha256": "0" * 64}]
    )
    (export.folder / "files").mkdir(parents=True, exist_ok=True)
    (export.folder / "files" / "records.jsonl").write_text("{}\n", encoding="utf-8")
    return export


def fetched(project: Project, user: User, export: Export) -> list[int]:
    """Status by the API and by the page."""
    client = Client()
    client.force_login(user)
    answers = [
        client.get(reverse(name, args=[project.pk, export.pk]))
        for name in ("api:export_download", "transfer:export_download")
    ]
    for answer in answers:
        if answer.streaming:
            list(answer)  # type: ignore[call-overload]
    return [answer.status_code for answer in answers]


@NOT_MANAGERS
def test_an_export_that_holds_gold_is_for_managers(golden: tuple[Project, Item, Item], role: str) -> None:
    project, _, _ = golden
    person = join(project, role)
    whole = exported(project, "native")
    assert fetched(project, person, whole) == [403, 403]
    assert fetched(project, project.created_by, whole) == [200, 200]
    assert fetched(project, person, exported(project, "csv")) == [200, 200]
    plain = make_project()
    assert fetched(plain, join(plain, role), exported(plain, "native")) == [200, 200]
