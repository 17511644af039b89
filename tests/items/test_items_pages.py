from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotator.items import files
from annotator.items.models import Asset, Item
from annotator.items.services import add_items
from annotator.labeling.models import Annotation, QueueEntry, Skip
from annotator.labeling.queue import Candidate, publish
from annotator.projects.models import Project, Role
from annotator.workspace import items_services
from tests.factories import choice, join, make_items, make_project
from tests.items.makers import add_image, text_item
from tests.modalities.images import image_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def manager(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.MANAGER))
    return client


def answer(item: Item, *classes: str, **fields: object) -> Annotation:
    user = fields.pop("annotator", None) or join(item.project)
    schema = item.project.schema
    return Annotation.objects.create(
        id=uuid4(),
        project=item.project,
        item=item,
        annotator=user,
        schema=schema,
        regions=choice(*classes),
        **fields,
    )


def listing(client: Client, project: Project, **query: object) -> list[str]:
    response = client.get(reverse("items:list", args=[project.pk]), query)
    return [each.item.external_id for each in response.context["shown"]]


def change(client: Client, project: Project, action: str, *items: Item, **more: object) -> object:
    data = {"action": action, "item": [item.pk for item in items]} | more
    return client.post(reverse("items:change", args=[project.pk]), data)


def test_items_are_found_by_words_ids_split_and_labels(project: Project, manager: Client) -> None:
    texts = [("a1", "The red house", "pool"), ("a2", "A blue car", "test"), ("b1", "Houses and cars", "pool")]
    add_items(project_id=project.pk, items=[text_item(t, i, split=s) for i, t, s in texts], source="x")
    labelled = Item.objects.get(external_id="b1")
    answer(labelled, "cat")
    assert listing(manager, project) == ["a1", "a2", "b1"]
    assert listing(manager, project, q="house") == ["a1", "b1"]
    assert listing(manager, project, q="a") == ["a1", "a2", "b1"]
    assert listing(manager, project, q="b1") == ["b1"]
    assert listing(manager, project, split="test") == ["a2"]
    assert listing(manager, project, labels="some") == ["b1"]
    assert listing(manager, project, labels="none") == ["a1", "a2"]
    assert listing(manager, project, labels="open") == ["a1", "a2"]
    Skip.objects.create(
        id=uuid4(),
        project=project,
        item=Item.objects.get(external_id="a1"),
        annotator=project.created_by,
        policy="others",
    )
    assert listing(manager, project, labels="skipped") == ["a1"]


@pytest.mark.parametrize(
    "query",
    [
        {"split": "x"},
        {"labels": "x"},
        {"after": "x"},
        {"q": "\0"},
        {"q": "'&|!()<->:*"},
        {"q": "%_"},
        {"annotations__annotator__password__startswith": "a"},
        {"archived": "2"},
        {"view": "x"},
    ],
)
def test_strange_filters_are_ignored_and_break_nothing(
    project: Project, manager: Client, query: dict[str, str]
) -> None:
    make_items(project, 2)
    assert len(listing(manager, project, **query)) in (0, 2)


def test_pages_follow_each_other_without_gaps(project: Project, manager: Client) -> None:
    make_items(project, 130)
    seen, after = [], ""
    while after is not None:
        response = manager.get(reverse("items:list", args=[project.pk]), {"after": after})
        seen += [each.item.row for each in response.context["shown"]]
        after = response.context["page"].next_after
    assert seen == list(range(130))
    assert response.context["summary"] == "130 items"


@pytest.mark.parametrize("modality", ["text", "image"])
def test_the_number_of_queries_is_the_same_for_any_number_of_items(client: Client, modality: str) -> None:
    project = make_project(modality=modality)
    client.force_login(join(project, Role.MANAGER))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("items:list", args=[project.pk])).status_code == 200
        return len(captured)

    if modality == "image":
        add_image(project)
    answer(make_items(project, 1)[0], "cat")
    few = queries()
    for item in make_items(project, 40):
        answer(item, "dog", annotator=project.created_by)
    assert queries() == few


def test_the_list_shows_what_people_chose_with_names_of_classes(project: Project, manager: Client) -> None:
    item = make_items(project, 1)[0]
    answer(item, "cat")
    answer(item, "cat")
    answer(item, "dog", state="withdrawn")
    page = manager.get(reverse("items:list", args=[project.pk]))
    assert page.context["shown"][0].classes == [("Cat", "#64748b", 2)]


def test_texts_are_shown_as_text(project: Project, manager: Client) -> None:
    add_items(project_id=project.pk, items=[text_item("<script>alert(1)</script>", "<b>id</b>")], source="x")
    item = Item.objects.get()
    for address in (
        reverse("items:list", args=[project.pk]),
        reverse("items:detail", args=[project.pk, item.pk]),
    ):
        page = manager.get(address).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "<b>id" not in page


def test_an_item_tells_its_whole_history(project: Project, manager: Client) -> None:
    item = make_items(project, 1)[0]
    anna = join(project)
    answer(item, "cat", annotator=anna, current=False, served={"strategy": {"key": "margin"}}, seconds=2.5)
    answer(item, "dog", annotator=anna, revision=2, served={"exploration": True})
    Skip.objects.create(
        id=uuid4(), project=project, item=item, annotator=anna, policy="others", reason="blurred"
    )
    response = manager.get(reverse("items:detail", args=[project.pk, item.pk]))
    history = response.context["history"]
    assert [entry.what for entry in history] == ["skipped", "labelled anew", "labelled"]
    assert [entry.valid for entry in history] == [False, True, False]
    assert "chosen by margin" in history[2].detail
    assert "2.5 s" in history[2].detail
    assert "random draw" in history[1].detail
    assert "blurred" in response.content.decode()


def test_an_item_says_where_it_waits_and_what_is_before_and_behind(project: Project, manager: Client) -> None:
    items = make_items(project, 3)
    publish(project_id=project.pk, candidates=[Candidate(item.pk, {}) for item in reversed(items)])
    context = manager.get(reverse("items:detail", args=[project.pk, items[1].pk])).context
    assert (context["before"], context["behind"], context["where"].ahead) == (items[0].pk, items[2].pk, 1)


def test_archived_items_leave_the_queue_and_come_back(project: Project, manager: Client) -> None:
    items = make_items(project, 3)
    publish(project_id=project.pk, candidates=[Candidate(item.pk, {}) for item in items])
    change(manager, project, "archive", *items[:2])
    assert listing(manager, project) == ["text-2"]
    assert listing(manager, project, archived="1") == ["text-0", "text-1"]
    assert QueueEntry.objects.count() == 1
    change(manager, project, "restore", items[0])
    assert listing(manager, project) == ["text-0", "text-2"]


@pytest.mark.django_db(transaction=True)
def test_deleted_items_are_gone_with_answers_and_bytes_and_rows_are_never_reused(client: Client) -> None:
    project = make_project(modality="image")
    client.force_login(join(project, Role.MANAGER))
    shared = image_bytes((3, 3))
    gone, twin, kept = (
        add_image(project, image_bytes((2, 2)), "gone"),
        add_image(project, shared, "twin"),
        add_image(project, shared, "kept"),
    )
    answer(gone, "cat")
    publish(project_id=project.pk, candidates=[Candidate(item.pk, {}) for item in (gone, twin, kept)])
    digest = gone.asset.digest if gone.asset else ""
    change(client, project, "delete", gone, twin)
    assert list(Item.objects.values_list("external_id", flat=True)) == ["kept"]
    assert not Annotation.objects.exists()
    assert QueueEntry.objects.count() == 1
    assert Asset.objects.count() == 1
    assert not files.asset_path(project.pk, digest).exists()
    assert kept.asset
    assert files.asset_path(project.pk, kept.asset.digest).exists()
    assert add_image(project, image_bytes((9, 9)), "new").row == 3


def test_a_change_leads_back_to_where_it_was_made_but_never_elsewhere(
    project: Project, manager: Client
) -> None:
    items = make_items(project, 2)
    home = reverse("items:list", args=[project.pk])
    assert change(manager, project, "archive", items[0], next=f"{home}?q=a")["Location"] == f"{home}?q=a"  # type: ignore[index]
    for evil in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert change(manager, project, "restore", items[0], next=evil)["Location"] == home  # type: ignore[index]


@pytest.mark.parametrize(
    "data",
    [
        {"action": "archive"},
        {"action": "explode", "item": "1"},
        {"item": "1"},
        {"action": "archive", "item": ["1"] * 501},
    ],
)
def test_a_change_needs_an_action_and_items(
    project: Project, manager: Client, data: dict[str, object]
) -> None:
    assert manager.post(reverse("items:change", args=[project.pk]), data).status_code == 422


@pytest.mark.parametrize(
    ("role", "see", "act"),
    [
        (Role.OWNER, 200, 302),
        (Role.MANAGER, 200, 302),
        (Role.REVIEWER, 200, 403),
        (Role.VIEWER, 200, 403),
        (Role.ANNOTATOR, 403, 403),
    ],
)
def test_roles(project: Project, client: Client, role: str, see: int, act: int) -> None:
    item = make_items(project, 1)[0]
    client.force_login(join(project, role))
    page = client.get(reverse("items:list", args=[project.pk]))
    assert page.status_code == see
    assert ('name="action"' in page.content.decode()) == (act == 302)
    assert client.get(reverse("items:detail", args=[project.pk, item.pk])).status_code == see
    assert change(client, project, "archive", item).status_code == act  # type: ignore[attr-defined]


def test_a_foreign_project_and_its_items_do_not_exist(project: Project, manager: Client) -> None:
    other = make_project()
    item = make_items(other, 1)[0]
    assert manager.get(reverse("items:list", args=[other.pk])).status_code == 404
    for owner in (other, project):
        assert manager.get(reverse("items:detail", args=[owner.pk, item.pk])).status_code == 404
    assert change(manager, other, "delete", item).status_code == 404  # type: ignore[attr-defined]
    for action in ("archive", "delete"):
        change(manager, project, action, item)
    item.refresh_from_db()
    assert item.archived_at is None


def test_services_touch_no_other_project(project: Project) -> None:
    item = make_items(make_project(), 1)[0]
    for act in (items_services.archive_items, items_services.restore_items, items_services.delete_items):
        assert act(project_id=project.pk, item_ids=[item.pk]) == 0
