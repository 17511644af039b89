"""Dashboard, annotate page, charts' data and the health badge, without a browser."""

from __future__ import annotations

import html
import json
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotator.items.models import Item
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Skip
from annotator.learning.models import ModelVersion, Round
from annotator.projects.models import LabelClass, LabelSchema, Project, Role
from annotator.projects.services import archive_project
from annotator.workspace import selectors
from tests.factories import choice, join, make_items, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(name="Pets & more")


@pytest.fixture
def owner(project: Project) -> Client:
    return client_of(project, None)


def client_of(project: Project, role: str | None) -> Client:
    client = Client()
    client.force_login(project.created_by if role is None else join(project, role))
    return client


def get(client: Client, name: str, project: Project, **query: str) -> Any:
    return client.get(reverse(f"workspace:{name}", args=[project.pk]), query)


def answer(project: Project, item: Item, *classes: str, **fields: Any) -> Annotation:
    return Annotation.objects.create(
        id=uuid.uuid4(), project=project, item=item, schema=project.schema, regions=choice(*classes),
        **{"annotator": project.created_by, **fields},
    )  # fmt: skip


def config_of(response: Any) -> dict[str, Any]:
    [text] = re.findall(r'data-config="([^"]*)"', response.content.decode())
    config: dict[str, Any] = json.loads(html.unescape(text))
    return config


# Dashboard


def test_figures_count_what_counts(project, owner):
    items = make_items(project, 4)
    answer(project, items[0], "cat")
    answer(project, items[1], "cat", current=False)
    answer(project, items[2], "dog", state="withdrawn")
    make_items(project, 1, split="test")
    figures = get(owner, "dashboard", project).context["progress"]
    assert (figures.items, figures.complete, figures.answers, figures.answers_today) == (4, 1, 1, 1)
    assert figures.share == 0.25


def test_an_item_is_complete_with_all_its_answers(project):
    Project.objects.filter(pk=project.pk).update(overlap=2)
    items = make_items(project, 2)
    answer(project, items[0], "cat")
    assert (selectors.progress(project).complete, selectors.progress(project).started) == (0, 1)
    answer(project, items[0], "cat", annotator=join(project))
    assert selectors.progress(project).complete == 1


def test_an_empty_project_has_no_share_and_no_error(owner, project):
    page = get(owner, "dashboard", project)
    assert page.status_code == 200
    assert page.context["progress"].share == 0.0
    assert "The queue is empty." in page.content.decode()
    assert "Pets &amp; more" in page.content.decode()


@pytest.mark.parametrize("part", ["figures", "jobs", "people", "queue"])
def test_a_part_comes_alone(owner, project, part):
    text = get(owner, "dashboard", project, part=part).content.decode().strip()
    assert text.startswith("<")
    assert f'id="{part}"' in text
    assert "<html" not in text


def test_an_unknown_part_is_the_whole_page(owner, project):
    assert "<html" in get(owner, "dashboard", project, part="people__user__password").content.decode()


@pytest.mark.parametrize(
    ("role", "sees_others", "labels"),
    [(Role.VIEWER, True, False), (Role.ANNOTATOR, False, True), (Role.REVIEWER, True, True)],
)
def test_who_labels_blind_sees_nothing_of_others(project, role, sees_others, labels):
    [item] = make_items(project, 1)
    answer(project, item, "cat", annotator=join(project, user=make_user("somebody")))
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {})])
    client = client_of(project, role)
    text = get(client, "dashboard", project).content.decode()
    assert ("somebody" in text) == sees_others
    assert ('id="queue"' in text) == sees_others
    assert ("Start labelling" in text) == labels
    for part in ("people", "queue"):
        asked = get(client, "dashboard", project, part=part).content.decode()
        assert "somebody" not in asked or sees_others
        assert "text number" not in asked or sees_others


def test_an_archived_project_offers_no_labelling(project, owner):
    archive_project(project=project)
    assert "Start labelling" not in get(owner, "dashboard", project).content.decode()


def test_throughput_is_told_per_person(project, owner):
    items, ben = (
        make_items(project, 3),
        join(project, user=make_user("ben", first_name="Ben", last_name="Lee")),
    )
    for item, seconds in zip(items, (1.0, 9.0, 2.0), strict=True):
        answer(project, item, "cat", annotator=ben, seconds=seconds)
    Skip.objects.create(id=uuid.uuid4(), project=project, item=items[0], annotator=ben, policy="others")
    [row] = get(owner, "dashboard", project).context["throughput"]
    assert (row.name, row.answers, row.today, row.median_seconds, row.skips) == ("Ben Lee", 3, 3, 2.0, 1)


def test_the_queue_is_shown_in_serving_order_with_reasons(project, owner):
    items = make_items(project, 60)
    candidates = [
        queue.Candidate(items[1].pk, {"exploration": True, "reason": {"text": "Drawn at random."}}),
        queue.Candidate(items[0].pk, {"utility": 0.5, "reason": {"text": "Unlike anything labelled."}}),
        *(queue.Candidate(item.pk, {}) for item in items[2:]),
    ]
    queue.publish(project_id=project.pk, candidates=candidates)
    shown = get(owner, "dashboard", project).context["queue"]
    assert len(shown) == 50
    assert [row.external_id for row in shown[:3]] == ["text-1", "text-0", "text-2"]
    assert [row.headline for row in shown[:2]] == ["Drawn at random.", "Unlike anything labelled."]
    assert [row.exploration for row in shown[:2]] == [True, False]


def test_what_people_hold_is_shown(project, owner):
    [item] = make_items(project, 1)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {"round": 4})])
    user = join(project)
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    [held] = get(owner, "dashboard", project).context["held"]
    assert (held.name, held.external_id, held.round) == (user.username, "text-0", 4)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (None, "No model yet: label items of at least two classes."),
        ({"state": "few", "n": 3, "needed": 10}, "3 of 10 random labels so far."),
    ],
)
def test_without_a_measured_accuracy_the_tile_says_what_is_missing(project, owner, metrics, words):
    if metrics is not None:
        ModelVersion.objects.create(
            project=project, number=1, schema=project.schema, n_labels=5, in_use=True, metrics=metrics
        )
    assert words in get(owner, "dashboard", project).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_project(project, owner, django_assert_max_num_queries):
    for item in make_items(project, 40):
        answer(project, item, "cat", annotator=join(project))
    get(owner, "dashboard", project)
    with django_assert_max_num_queries(35):
        get(owner, "dashboard", project)


# Annotate page


def test_the_screen_is_told_its_addresses_schema_and_rules(project):
    schema = project.schema
    LabelClass.objects.create(schema=schema, key="none", name="None of these", order=9, is_outlier=True)
    LabelClass.objects.create(schema=schema, key="old", name="Old", order=10, active=False)
    config = config_of(get(client_of(project, Role.ANNOTATOR), "annotate", project))
    assert config["api"] == f"/api/v1/projects/{project.pk}/"
    assert (config["canvas"], config["leaseSeconds"], config["showSuggestions"]) == ("text", 600, True)
    assert config["schema"]["version"] == 1
    assert config["schema"]["multiple"] is False
    assert [(c["key"], c["hotkey"], c["outlier"]) for c in config["schema"]["classes"]] == [
        ("cat", "1", False), ("dog", "2", False), ("none", "", True),
    ]  # fmt: skip


def test_hostile_names_of_classes_and_instructions_stay_text(project, owner):
    nasty = '"><script>alert(1)</script>'
    project.schema.classes.filter(key="cat").update(name=nasty, description=nasty)
    Project.objects.filter(pk=project.pk).update(instructions=nasty, name=nasty)
    page = get(owner, "annotate", project)
    assert "<script>alert(1)" not in page.content.decode()
    assert config_of(page)["schema"]["classes"][0]["name"] == nasty


def test_annotators_do_not_see_the_health_badge(project, owner):
    assert "health_url" in get(owner, "annotate", project).context
    assert "health_url" not in get(client_of(project, Role.ANNOTATOR), "annotate", project).context


# Charts and badge


def add_model(project: Project, number: int, value: float | None) -> None:
    measured = value and {"value": value, "low": value - 0.1, "high": value + 0.1}
    metrics = {"state": "measured", "n": 20, "accuracy": measured} if value else {"state": "few"}
    ModelVersion.objects.create(
        project=project, number=number, schema=project.schema, n_labels=10 * number, metrics=metrics
    )


def test_the_curve_has_a_point_for_each_model_that_was_measured(project, owner):
    for number, value in ((1, None), (2, 0.5), (3, 0.75)):
        add_model(project, number, value)
    data = get(owner, "curve", project).json()
    [accuracy, macro] = data["series"]
    assert [(point["x"], point["y"]) for point in accuracy["points"]] == [(20, 0.5), (30, 0.75)]
    assert accuracy["points"][0]["low"] == pytest.approx(0.4)
    assert macro == {"name": "Macro-F1", "points": []}


def test_without_measured_models_there_is_no_curve_but_a_reason(project, owner):
    data = get(owner, "curve", project).json()
    assert data["series"] == []
    assert "begins with the first model" in data["empty"]


def test_the_balance_counts_answers_in_merged_classes_for_their_heirs(project, owner):
    items = make_items(project, 3)
    for item, key in zip(items, ("cat", "dog", "dog"), strict=True):
        answer(project, item, key)
    newer = LabelSchema.objects.create(project=project, version=2)
    LabelClass.objects.create(schema=newer, key="cat", name="Cat", order=1)
    LabelClass.objects.create(schema=newer, key="cow", name="Cow", order=2)
    LabelClass.objects.create(schema=newer, key="dog", name="Dog", order=3, active=False, merged_into="cat")
    rows = get(owner, "balance", project).json()["rows"]
    assert [(row["name"], row["value"]) for row in rows] == [("Cat", 3), ("Cow", 0)]


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [(None, "warning", "No ranking"), (Round.State.FAILED, "bad", "Ranking failed")],
)
def test_the_badge_never_hides_a_failure(project, owner, state, level, words):
    make_items(project, 1)
    if state:
        Round.objects.create(
            project=project, number=1, trigger="manual", seed=1, state=state, error="Out of memory."
        )
    text = get(owner, "health", project).content.decode()
    assert f"health--{level}" in text
    assert words in text
    assert not state or "Out of memory." in text
