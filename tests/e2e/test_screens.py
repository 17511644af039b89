"""Light and dark, wide and narrow, by mouse and by keyboard alone: every screen can be read and reached."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from annotator.projects.models import Role
from tests.e2e.person import Person, image_project, text_project
from tests.e2e.test_labelling import number
from tests.factories import join

pytestmark = pytest.mark.django_db(transaction=True)

# Contrast as WCAG 2 computes it, of an element's text against the nearest background that is not see-through.
CONTRAST = """(node) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (colour) => {
    const [r, g, b] = [...rgba(colour)].slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = node;
  while (behind.parentElement && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
  const [a, b] = [light(getComputedStyle(node).color), light(getComputedStyle(behind).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
READ = (
    "h1", "h2", ".muted", ".stat__label", ".stat__value", ".stat__note", ".navtabs a", ".button", ".button--primary",
    "th", "td", ".choice__name", ".canvas-text__body", "kbd", ".annotate__status", ".annotate__why summary",
    ".choice__percent", ".choices legend", ".badge", ".health",
)  # fmt: skip
# Where the focus is, and whether it can be seen: an outline on the element or on the label around it.
FOCUS = """() => {
  const node = document.activeElement;
  const shown = node.closest("label.choice") ?? node;
  const style = getComputedStyle(shown);
  return {
    name: node.getAttribute("aria-label") ?? (node.labels?.[0] ?? node).innerText.trim().split("\\n")[0],
    tag: node.tagName,
    visible: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
  };
}"""


def colours_of(picture: bytes) -> int:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return len(np.unique(np.asarray(image)[::4, ::4].reshape(-1, 3), axis=0))


def luminance(picture: bytes) -> float:
    grey = Image.open(io.BytesIO(picture)).convert("L").resize((1, 1), Image.Resampling.BOX)
    return float(grey.getpixel((0, 0)))  # type: ignore[arg-type]


def contrasts(person: Person) -> dict[str, float]:
    """The least contrast of each kind of text on the page."""
    found: dict[str, float] = {}
    for selector in READ:
        for node in person.page.locator(selector).all()[:12]:
            if node.is_visible() and not node.is_disabled():
                found[selector] = min(found.get(selector, 99), node.evaluate(CONTRAST))
    return found


def focused(person: Person) -> dict[str, Any]:
    return person.page.evaluate(FOCUS)  # type: ignore[no-any-return]


def tab_through(person: Person, most: int = 60) -> list[dict[str, Any]]:
    """What Tab reaches, from the top of the page until it leaves it."""
    reached: list[dict[str, Any]] = []
    for _ in range(most):
        person.press("Tab")
        now = focused(person)
        if now["tag"] == "BODY" or (reached and now == reached[0]):
            return reached
        reached.append(now)
    return reached


def show(person: Person, screen: str) -> None:
    """Open one of the screens whose looks are tested."""
    project = (image_project if screen == "image" else text_project)(
        owner=person.user, suggestion={"model": 2, "classes": {"dog": 0.9}}
    )
    if screen == "dashboard":
        person.open("workspace:dashboard", project.pk)
        expect(person.page.locator("[data-chart=bars]")).to_have_attribute("data-drawn", "true")
    else:
        person.label(project)
        expect(person.page.locator("#choices input").first).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["text", "image", "dashboard"])
def test_both_themes_can_be_read(people, django_user_model, screen, scheme):
    anna = people(django_user_model.objects.create_user("anna"), color_scheme=scheme)
    show(anna, screen)
    picture = anna.picture(f"{screen}-{scheme}")
    assert colours_of(picture) > 20
    assert (luminance(picture) < 100) == (scheme == "dark")
    low = {selector: round(value, 2) for selector, value in contrasts(anna).items() if value < 4.5}
    assert not low


@pytest.mark.parametrize("screen", ["text", "image", "dashboard"])
def test_a_telephone_shows_everything_without_sideways_scrolling(people, django_user_model, screen):
    anna = people(
        django_user_model.objects.create_user("anna"),
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
    )  # fmt: skip
    show(anna, screen)
    anna.picture(f"{screen}-390")
    assert anna.page.evaluate("document.documentElement.scrollWidth") <= 390
    if screen != "dashboard":
        for name in ("Submit", "Skip", "Undo"):
            button = anna.page.get_by_role("button", name=name)
            button.scroll_into_view_if_needed()
            box = button.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["height"] >= 32


def test_on_a_telephone_a_tap_answers(people):
    project = text_project()
    anna = people(join(project), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    anna.label(project)
    anna.choice("Dog").tap()
    expect(anna.text).to_have_text(number(1))
    anna.until(lambda: anna.answers() == [("text-0", ["dog"])])


def test_tab_reaches_everything_and_the_focus_is_always_seen(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    reached = tab_through(anna)
    names = [each["name"] for each in reached]
    for wanted in (
        "Skip to content",
        "Dashboard",
        "Label",
        "Text",
        "Cat",
        "Skip",
        "Submit on choice",
        "Keys",
    ):
        assert any(name.startswith(wanted) for name in names), (wanted, names)
    assert [each for each in reached if not each["visible"]] == []
    assert names.index("Text") < names.index("Cat") < names.index("Submit on choice")


def test_with_the_keyboard_alone_one_labels_without_any_class_key(people):
    project = text_project(task="multi", classes=("cat", "dog", "cow"))
    anna = people(join(project))
    anna.label(project)
    while focused(anna)["name"] != "Cat":
        anna.press("Tab")
    anna.press("Tab", "Space")
    expect(anna.choice("Dog")).to_be_checked()
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    anna.until(lambda: anna.answers() == [("text-0", ["dog"])])
    # The focus is among the classes again, not at the top of the page.
    expect(anna.choice("Cat")).to_be_focused()


def test_space_takes_the_suggestion_also_after_a_click_on_a_class(people):
    project = text_project(suggestion={"model": 2, "classes": {"dog": 0.9}})
    anna = people(join(project))
    anna.label(project)
    anna.choice("Cat").click()
    expect(anna.text).to_have_text(number(1))
    anna.press("Space")
    expect(anna.text).to_have_text(number(2))
    anna.until(lambda: anna.answers() == [("text-0", ["cat"]), ("text-1", ["dog"])])


def test_arrows_walk_through_the_classes_without_submitting(people):
    project = text_project(classes=("cat", "dog", "cow"))
    anna = people(join(project))
    anna.label(project)
    while focused(anna)["name"] != "Cat":
        anna.press("Tab")
    anna.press("ArrowDown", "ArrowDown")
    expect(anna.choice("Cow")).to_be_checked()
    expect(anna.text).to_have_text(number(0))
    anna.press("Enter")
    expect(anna.text).to_have_text(number(1))
    anna.until(lambda: anna.answers() == [("text-0", ["cow"])])


def test_the_sheet_of_keys_opens_and_closes(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press("?")
    sheet = anna.page.get_by_role("dialog", name="Keyboard")
    for words in (
        "Submit",
        "Skip",
        "Undo the last answer or skip",
        "Take the suggestion and submit",
        "Cat",
        "Dog",
    ):
        expect(sheet).to_contain_text(words)
    anna.picture("keys")
    anna.press("Escape")
    expect(sheet).to_have_count(0)
    expect(anna.text).to_have_text(number(0))


def test_keys_pressed_over_the_sheet_answer_nothing(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press("?")
    expect(anna.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    anna.press("1", ".", "Backspace")
    anna.press("Escape")
    expect(anna.text).to_have_text(number(0))
    assert anna.answers() == []


def test_the_theme_can_be_switched_by_hand_and_stays(people):
    project = text_project()
    anna = people(join(project, Role.VIEWER), color_scheme="light")
    anna.open("workspace:dashboard", project.pk)
    toggle = anna.page.get_by_role("button", name=re.compile("^Theme"))
    while anna.page.locator("html").get_attribute("data-theme") != "dark":
        toggle.click()
    anna.page.reload()
    expect(anna.page.locator("html")).to_have_attribute("data-theme", "dark")
    assert luminance(anna.picture("switched")) < 100
