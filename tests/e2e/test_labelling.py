"""One item after the other, by keyboard: choose, accept, skip, undo, search."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from annotator.labeling.models import Annotation, ItemLease, Skip
from tests.e2e.person import COLOURS, PASSWORD, image_project, text_project
from tests.factories import join

pytestmark = pytest.mark.django_db(transaction=True)


def number(n: int) -> str:
    return f"This is text number {n}."


def test_signing_in_leads_to_the_page_that_was_asked_for(people):
    project = text_project()
    user = join(project)
    anna = people()
    anna.expected.append("422")  # a wrong password; browsers note every answer that is an error
    page = anna.open("workspace:annotate", project.pk)
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not fit")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(anna.text).to_have_text(number(0))


def test_a_key_answers_and_the_next_item_is_there(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    expect(anna.text).to_have_text(number(0))
    anna.press("1")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["cat"])]
    anna.choice("Dog").click()
    expect(anna.text).to_have_text(number(2))
    expect(anna.page.locator("#session")).to_contain_text("2 done")
    anna.press("1")
    expect(anna.text).to_have_text(number(3))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["cat"]), ("text-1", ["dog"]), ("text-2", ["cat"])]
    assert all(0 < seconds < 60 for seconds in Annotation.objects.values_list("seconds", flat=True))


def test_pictures_are_shown_and_answered(people):
    project = image_project()
    anna = people(join(project))
    anna.label(project)
    picture = anna.page.get_by_role("img", name="The image to label")
    assets = [item.asset_id for item in project.items.order_by("row")]
    for n in range(len(COLOURS)):
        # This picture, not still the one before: a key that comes while none is shown answers nothing.
        expect(picture).to_have_attribute("src", re.compile(f"/{assets[n]}/"))
        expect(picture).to_have_js_property("naturalWidth", 24)
        expect(anna.page.locator(".canvas-image__scale")).to_have_text(re.compile(r"[1-9]\d* %"))
        anna.press("12"[n % 2])
        if n < len(COLOURS) - 1:
            expect(anna.page.locator("#session")).to_contain_text(f"{n + 1} done")
    expect(anna.stage).to_contain_text("Every item has all its labels.")
    assert anna.answers() == [("0.png", ["cat"]), ("1.png", ["dog"]), ("2.png", ["cat"]), ("3.png", ["dog"])]


def test_zooming_does_not_answer(people):
    project = image_project()
    anna = people(join(project))
    anna.label(project)
    scale = anna.page.locator(".canvas-image__scale")
    expect(scale).to_have_text(re.compile(r"\d+ %"))
    before = scale.inner_text()
    anna.press("+")
    expect(scale).not_to_have_text(before)
    anna.press("Shift+1")
    expect(scale).to_have_text(before)
    assert anna.answers() == []


def test_space_takes_the_suggestion(people):
    project = text_project(suggestion={"model": 2, "classes": {"dog": 0.9, "cat": 0.1}})
    anna = people(join(project))
    anna.label(project)
    suggested = anna.page.locator(".choice--suggested")
    expect(suggested).to_contain_text("Dog")
    expect(suggested).to_contain_text("90 %")
    anna.press("Space")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["dog"])]


def test_suggestions_that_are_switched_off_are_not_shown_and_not_taken(people):
    project = text_project(suggestion={"model": 2, "classes": {"dog": 0.9}}, show_suggestions=False)
    anna = people(join(project))
    anna.label(project)
    anna.press("Space")
    expect(anna.page.locator(".choice--suggested")).to_have_count(0)
    expect(anna.text).to_have_text(number(0))
    assert anna.answers() == []


def test_the_reason_why_an_item_is_shown_can_be_opened(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.page.get_by_text("The model hesitates").click()
    facts = anna.page.locator("#why-facts")
    expect(facts).to_contain_text("margin")
    expect(facts).to_contain_text("5.0 %")


@pytest.mark.parametrize("wait", [True, False], ids=["saved", "on its way"])
def test_undo_brings_the_item_back_with_the_earlier_choice(people, wait):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press("1")
    if wait:
        expect(anna.saved).to_have_text("Saved, revision 1")
    anna.press("Backspace")
    # The third panel: of the item, of the next one, of the item again.
    expect(anna.choice("Cat")).to_have_attribute("name", "classes-3")
    expect(anna.text).to_have_text(number(0))
    expect(anna.choice("Cat")).to_be_checked()
    assert anna.answers() == []
    anna.press("2")
    expect(anna.text).to_have_text(number(1))
    anna.until(lambda: anna.answers() == [("text-0", ["dog"])])


def test_undo_reaches_back_beyond_a_reload(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press("2")
    expect(anna.saved).to_have_text("Saved, revision 1")
    anna.page.reload()
    expect(anna.text).to_have_text(number(1))
    expect(anna.page.get_by_role("button", name="Undo")).to_be_enabled()
    anna.press("Backspace")
    expect(anna.text).to_have_text(number(0))
    expect(anna.choice("Dog")).to_be_checked()
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 3")
    assert anna.answers() == [("text-0", ["dog"])]


def test_a_skipped_item_is_passed_over_and_can_be_brought_back(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press(".")
    expect(anna.text).to_have_text(number(1))
    anna.press("1")
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert [skip.item.external_id for skip in Skip.objects.select_related("item")] == ["text-0"]
    anna.press("Backspace")
    expect(anna.text).to_have_text(number(1))
    anna.press("Backspace")
    expect(anna.text).to_have_text(number(0))
    assert Skip.objects.get().withdrawn


def test_any_number_of_classes_is_chosen_and_submitted_with_enter(people):
    project = text_project(task="multi", classes=("cat", "dog", "cow"))
    anna = people(join(project))
    anna.label(project)
    anna.press("1", "3", "2", "2")
    expect(anna.choice("Cow")).to_be_checked()
    expect(anna.choice("Dog")).not_to_be_checked()
    expect(anna.text).to_have_text(number(0))
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    anna.press("Enter")
    expect(anna.text).to_have_text(number(2))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["cat", "cow"]), ("text-1", [])]


def test_with_many_classes_one_searches(people):
    names = tuple(f"breed {letter}" for letter in "abcdefghijklm") + ("weasel",)
    project = text_project(classes=names)
    anna = people(join(project))
    anna.label(project)
    field = anna.page.get_by_role("searchbox", name="Search classes")
    anna.press("/")
    expect(field).to_be_focused()
    anna.page.keyboard.type("nothing like it")
    expect(anna.page.get_by_text("No class matches.")).to_be_visible()
    field.fill("weas")
    expect(anna.choice("Breed A")).to_be_hidden()
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["weasel"])]


def test_without_submit_on_choice_a_choice_waits_for_enter(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.page.get_by_label("Submit on choice").uncheck()
    anna.press("1", "2")
    expect(anna.choice("Dog")).to_be_checked()
    expect(anna.text).to_have_text(number(0))
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["dog"])]


def test_two_people_at_once_get_different_items(people):
    project = text_project(12)
    anna, ben = people(join(project)), people(join(project))
    anna.label(project)
    ben.label(project)
    for _ in range(4):
        assert anna.text.inner_text() != ben.text.inner_text()
        for person in (anna, ben):
            before = person.text.inner_text()
            person.press("1")
            expect(person.text).not_to_have_text(before)
    for person in (anna, ben):
        expect(person.saved).to_have_text("Saved, revision 1")
    answered = [{external for external, _ in person.answers()} for person in (anna, ben)]
    assert [len(ids) for ids in answered] == [4, 4]
    assert not answered[0] & answered[1]


def test_leaving_gives_the_items_back_to_the_others(people):
    project = text_project(3)
    anna, ben = people(join(project)), people(join(project))
    anna.label_ahead(project)
    anna.open("projects:list")
    anna.until(lambda: not ItemLease.objects.exists())
    ben.label(project)
    expect(ben.text).to_have_text(number(0))
