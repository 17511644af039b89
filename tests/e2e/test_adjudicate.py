"""A reviewer settles disagreements by keys, takes one back, makes gold."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from annotator.items.models import Item
from annotator.projects.models import Project, Role
from annotator.quality.models import Case, Decision, GoldItem
from annotator.quality.services import decide
from tests.e2e.person import text_project
from tests.factories import join
from tests.quality.people import vote

pytestmark = pytest.mark.django_db(transaction=True)


def disputed() -> tuple[Project, list[Item]]:
    """Three items on which two people disagree, the second most of all."""
    project = text_project()
    items = list(project.items.order_by("row")[:3])
    people = [join(project) for _ in range(2)]
    keys = [label.key for label in project.schema.active_classes()][:2]
    for item, agreement in zip(items, (0.6, 0.4, 0.5), strict=True):
        vote(project, item, *keys, people=people)
        Case.objects.create(project=project, item=item, agreement=agreement, votes=2, confidence=0.5)
    return project, items


def decisions(project: Project) -> list[tuple[int, list[str]]]:
    return list(Decision.objects.filter(project=project).order_by("pk").values_list("item__row", "classes"))


def test_disagreements_are_decided_worst_first_with_keys_alone(people):
    project, items = disputed()
    keys = [label.key for label in project.schema.active_classes()]
    reviewer = people(join(project, Role.REVIEWER))
    page = reviewer.open("quality:adjudicate", project.pk)
    expect(reviewer.text).to_have_text(items[1].text)
    expect(page.locator("#left")).to_have_text("3 disagreements")
    expect(page.locator(".votes__row")).to_have_count(2)
    expect(page.locator("#decide")).to_be_disabled()
    expect(page.locator("#gold-field")).to_be_hidden()
    reviewer.press("1", "Enter")
    expect(reviewer.text).to_have_text(items[2].text)
    reviewer.press("Period")
    expect(reviewer.text).to_have_text(items[0].text)
    reviewer.press("2", "Enter")
    expect(reviewer.text).to_have_text(items[2].text)
    expect(page.locator(".toast")).to_contain_text("Only what you put off is left.")
    reviewer.press("1", "Enter")
    expect(reviewer.stage).to_contain_text("Nothing waits for a decision.")
    first, second = keys[:2]
    assert decisions(project) == [
        (items[1].row, [first]),
        (items[0].row, [second]),
        (items[2].row, [first]),
    ]


def test_a_decision_that_came_too_late_is_told_and_changes_nothing(people):
    project, items = disputed()
    keys = [label.key for label in project.schema.active_classes()]
    reviewer = people(join(project, Role.REVIEWER))
    page = reviewer.open("quality:adjudicate", project.pk)
    expect(reviewer.text).to_have_text(items[1].text)
    reviewer.expected.append("409")
    decide(project=project, item_id=items[1].pk, classes=[keys[1]], by=join(project, Role.REVIEWER))
    reviewer.press("1", "Enter")
    expect(page.locator(".toast")).to_contain_text("Somebody else has decided this already.")
    expect(reviewer.text).to_have_text(items[2].text)
    assert decisions(project) == [(items[1].row, [keys[1]])]


def test_the_last_decision_is_taken_back_with_its_choice(people):
    project, items = disputed()
    reviewer = people(join(project, Role.REVIEWER))
    page = reviewer.open("quality:adjudicate", project.pk)
    expect(reviewer.text).to_have_text(items[1].text)
    reviewer.press("1", "Enter")
    expect(reviewer.text).to_have_text(items[2].text)
    reviewer.press("Backspace")
    expect(reviewer.text).to_have_text(items[1].text)
    expect(page.locator("input[type=radio]").first).to_be_checked()
    reviewer.until(lambda: not Decision.objects.exists())


def test_names_show_when_asked_for_and_gold_is_a_manager_s(people):
    project, items = disputed()
    manager = people(project.created_by)
    page = manager.open("quality:adjudicate", project.pk)
    expect(manager.text).to_have_text(items[1].text)
    expect(page.locator(".votes__names")).to_have_count(0)
    manager.press("Shift+N")
    expect(page.locator(".votes__names")).to_have_count(2)
    manager.press("Shift+G", "1", "Enter")
    expect(manager.text).to_have_text(items[2].text)
    assert GoldItem.objects.get().item_id == items[1].pk


def test_answers_stand_beside_their_classes_and_the_model_is_asked_on_purpose(people):
    project, items = disputed()
    reviewer = people(join(project, Role.REVIEWER))
    page = reviewer.open("quality:adjudicate", project.pk)
    expect(reviewer.text).to_have_text(items[1].text)
    marks = page.locator(".choice__mark")
    assert marks.all_text_contents()[:2] == ["1 ×", "1 ×"]
    reviewer.press("Shift+N")
    expect(marks.first).to_have_text(re.compile("1 × .+"))
    expect(page.locator("#model-says")).to_be_hidden()
    reviewer.expected.append("409")
    page.get_by_text("What the model says").click()
    expect(page.locator("#model-says")).to_contain_text("no model")
    reviewer.press("Period")
    expect(reviewer.text).to_have_text(items[2].text)
    expect(page.locator("#model-says")).to_be_hidden()


def test_the_quality_page_is_where_it_should_be(people):
    project, _ = disputed()
    manager = people(project.created_by)
    page = manager.open("items:list", project.pk)
    page.get_by_role("link", name="Quality").click()
    expect(page.get_by_role("heading", name="Quality", exact=True)).to_be_visible()
    page.get_by_role("button", name="Count anew").click()
    expect(page.locator("#quality")).to_contain_text("being counted anew")
