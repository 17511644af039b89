"""Keys of classes and of the screen do not get in each other's way."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from annotator.common.errors import Invalid
from annotator.projects.hotkeys import CLASS_KEYS, RESERVED_KEYS, check_hotkey, free_hotkey


def in_javascript(name: str) -> str:
    source = (Path(settings.BASE_DIR) / "static/js/keyboard.js").read_text(encoding="utf-8")
    found = re.search(rf"export const {name} = Object\.freeze\(\[(.*?)\]\);", source, re.DOTALL)
    assert found
    return found[1]


def test_server_and_browser_reserve_the_same_keys():
    assert json.loads(f"[{in_javascript('RESERVED_KEYS')}]") == list(RESERVED_KEYS)


def test_server_and_browser_give_keys_in_the_same_order():
    assert in_javascript("CLASS_KEYS") == f'..."{CLASS_KEYS}"'


@pytest.mark.parametrize("hotkey", ["/", "?", ".", " ", "\t", "\n", "+", "Enter", "ArrowUp"])
def test_a_reserved_key_is_refused_with_what_it_does(hotkey):
    with pytest.raises(Invalid) as error:
        check_hotkey(hotkey)
    assert error.value.code == "reserved_hotkey"
    assert any(reason in error.value.message for reason in RESERVED_KEYS.values())


@pytest.mark.parametrize("hotkey", ["ab", "\x00", "\u200b"])
def test_what_cannot_be_typed_or_seen_is_no_hotkey(hotkey):
    with pytest.raises(Invalid) as error:
        check_hotkey(hotkey)
    assert error.value.code == "bad_hotkey"


def test_hotkeys_are_kept_in_lower_case():
    assert [check_hotkey(key) for key in ("", "A", "ä", "7")] == ["", "a", "ä", "7"]


def test_no_class_is_given_a_reserved_key():
    assert not set(CLASS_KEYS) & set(RESERVED_KEYS)


def test_keys_run_out_quietly():
    assert free_hotkey("cat", set(CLASS_KEYS)) == ""
    assert free_hotkey("?", {"1"}) == "2"
