"""Keyset pages, keys in addresses, and what the system checks say about the environment."""

from __future__ import annotations

import pytest
from django.core import checks

from annotator.common.checks import environment
from annotator.common.pagination import key_from, keyset_page
from annotator.items.models import Item
from tests.factories import make_items, make_project


@pytest.fixture
def items(db: None) -> list[Item]:
    return make_items(make_project(), 7)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("size", [1, 3, 6, 7, 8])
def test_pages_together_hold_every_row_once_in_order(items: list[Item], size: int, descending: bool) -> None:
    seen, after = [], None
    while True:
        page = keyset_page(Item.objects.all(), key="pk", after=after, size=size, descending=descending)
        seen += [item.pk for item in page.rows]
        assert len(page.rows) <= size
        after = page.next_after
        if after is None:
            break
    assert seen == sorted((item.pk for item in items), reverse=descending)


def test_rows_that_come_meanwhile_move_no_page(items: list[Item]) -> None:
    first = keyset_page(Item.objects.all(), key="pk", after=None, size=3, descending=True)
    make_items(items[0].project, 2)
    second = keyset_page(Item.objects.all(), key="pk", after=first.next_after, size=3, descending=True)
    assert not {item.pk for item in first.rows} & {item.pk for item in second.rows}


def test_an_empty_page_has_no_next(db: None) -> None:
    assert keyset_page(Item.objects.all(), key="pk", after="", size=3) == keyset_page(
        Item.objects.none(), key="pk", after=None, size=3
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("7", 7), ("0", 0), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("9" * 5000, None), ("", None), (None, None),
        ("-1", None), ("1.5", None), ("²", None), ("pk__gt", None), (" 7", None),
    ],
)  # fmt: skip
def test_keys_in_addresses_are_plain_digits(text: str | None, key: int | None) -> None:
    assert key_from(text) == key


def found(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[checks.CheckMessage]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return environment()


def test_a_misspelt_variable_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    [warning] = found(monkeypatch, ANNOTATOR_HOEM="/tmp")
    assert (warning.id, warning.level) == ("annotator.W001", checks.WARNING)
    assert "ANNOTATOR_HOEM" in warning.msg
    assert "settings.md" in str(warning.hint)


def test_known_variables_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, ANNOTATOR_LOG_LEVEL="INFO") == []


def test_debug_on_an_open_address_is_an_error(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    settings.DEBUG = True
    assert found(monkeypatch, ANNOTATOR_HOST="127.0.0.1") == []
    [error] = found(monkeypatch, ANNOTATOR_HOST="0.0.0.0")
    assert (error.id, error.level) == ("annotator.E001", checks.ERROR)
