"""Keys that start something on the annotate screen, and those that classes may have. Mirrored in static/js/keyboard.js."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from annotator.common.errors import Invalid

# Names as the browser's KeyboardEvent.key has them, in lower case; why each is taken.
RESERVED_KEYS: Mapping[str, str] = {
    "enter": "submits the answer",
    "space": "scrolls and presses buttons",
    "tab": "moves the focus",
    "escape": "closes what is open",
    "backspace": "takes the last answer back",
    "delete": "deletes what is selected",
    "arrowup": "moves the selection",
    "arrowdown": "moves the selection",
    "arrowleft": "moves the selection",
    "arrowright": "moves the selection",
    "home": "scrolls",
    "end": "scrolls",
    "pageup": "scrolls",
    "pagedown": "scrolls",
    "+": "zooms in",
    "-": "zooms out",
    "=": "zooms in",
    "/": "searches the classes",
    "?": "shows the keys",
    ".": "skips the item",
    ",": "is next to the key that skips",
}
NAMES = {
    " ": "space",
    "\n": "enter",
    "\r": "enter",
    "\t": "tab",
    "\x1b": "escape",
    "\x08": "backspace",
    "\x7f": "delete",
}

# Given to classes without one, in this order.
CLASS_KEYS = "1234567890qwertyuiopasdfghjklzxcvbnm"


def check_hotkey(hotkey: str) -> str:
    """The hotkey in the form it is stored: one visible character in lower case, or empty for none; raises Invalid."""
    if not hotkey:
        return ""
    name = NAMES.get(hotkey, hotkey.lower())
    if name in RESERVED_KEYS:
        raise Invalid(
            f"The key {name!r} is reserved: it {RESERVED_KEYS[name]}.",
            code="reserved_hotkey",
            hint=f"Free keys are digits and letters, such as {CLASS_KEYS[:3]} or {CLASS_KEYS[10:13]}.",
        )
    if len(name) != 1 or not name.isprintable():
        raise Invalid(f"A hotkey is one character, not {hotkey!r}.", code="bad_hotkey")
    return name


def own_hotkey(name: str) -> str:
    """The key that a class named with one character suggests itself, such as a digit; empty where it is reserved."""
    key = name.strip().lower()
    return key if len(key) == 1 and key.isprintable() and key not in RESERVED_KEYS else ""


def free_hotkey(name: str, taken: Collection[str]) -> str:
    """A key for a class without one: its own name, else the most convenient that is left; empty when none is."""
    own = own_hotkey(name)
    if own and own not in taken:
        return own
    return next((key for key in CLASS_KEYS if key not in taken), "")
