"""The self-check in a real browser, under the real policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_page_asks_the_browser_and_says_what_follows(people: Callable[..., Any]) -> None:
    person = people(make_user(is_superuser=True, is_staff=True))
    page = person.open("operations:check")
    said = page.locator("#check-browser")
    expect(said).to_have_attribute("aria-busy", "false")
    expect(said.locator('[data-key="origin"]')).to_contain_text("agree on the address")
    expect(said.locator('[data-key="form"]')).to_contain_text("are accepted")
    expect(said.locator('[data-key="clock"]')).to_contain_text("agree")
    expect(said.locator('[data-key="socket"]')).to_contain_text("Live events reach this browser")


def test_it_is_found_in_the_menu_by_keyboard(people: Callable[..., Any]) -> None:
    person = people(make_user("ada", is_superuser=True, is_staff=True))
    page = person.open("projects:list")
    page.get_by_label("Account of ada").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Self-check").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Self-check")).to_be_visible()
    expect(page.locator("#check-browser")).to_have_attribute("aria-busy", "false")
