"""What differs between two versions of the classes, in words, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotator.projects.schema import Classes, ClassState

WORDS = {
    "name": "renamed",
    "colour": "recoloured",
    "hotkey": "given another key",
    "description": "described anew",
    "parent": "moved in the tree",
    "is_outlier": "outlier mark changed",
}


@dataclass(frozen=True)
class Change:
    """One difference. `answers`: how many answers that count now it touches; `model`: what the model will do."""

    kind: str
    key: str
    name: str
    text: str
    model: str = ""
    answers: int = 0


def changes(before: Classes, after: Classes, *, answers: Mapping[str, int] | None = None) -> list[Change]:
    """Differences in the order of `after`; `answers` are counts by the key that was chosen when answering."""
    old, new = {c.key: c for c in before}, {c.key: c for c in after}
    counted = _counts_today(before, answers or {})
    found = [change for c in after for change in _of_class(old.get(c.key), c, new, counted)]
    order_before = [c.key for c in before if c.active and c.key in new and new[c.key].active]
    order_after = [c.key for c in after if c.active and c.key in old and old[c.key].active]
    if order_before != order_after:
        found.append(Change("reorder", "", "", "The order of the classes changes."))
    return found


def heir(classes: Mapping[str, ClassState], key: str) -> str | None:
    """The key that `key` counts as, None when it was retired without heir."""
    seen: set[str] = set()
    while (c := classes.get(key)) and not c.active and c.merged_into and key not in seen:
        seen.add(key)
        key = c.merged_into
    return key if (c := classes.get(key)) and c.active else None


def _counts_today(before: Classes, answers: Mapping[str, int]) -> dict[str, int]:
    """Answers by the class that they count as before the change; those of retired classes by their own key."""
    known = {c.key: c for c in before}
    counted: dict[str, int] = {}
    for key, count in answers.items():
        today = heir(known, key) or key
        counted[today] = counted.get(today, 0) + count
    return counted


def _of_class(
    old: ClassState | None, c: ClassState, new: Mapping[str, ClassState], counted: Mapping[str, int]
) -> list[Change]:
    count = counted.get(c.key, 0)
    if old is None:
        model = "The model cannot suggest it before it has answers. Answers given so far did not know it."
        return [Change("add", c.key, c.name, f"“{c.name}” is new.", model)]
    if old.active and not c.active and c.merged_into:
        into = new[c.merged_into].name
        model = f"The next round learns its answers as “{into}”."
        return [Change("merge", c.key, old.name, f"“{old.name}” is merged into “{into}”.", model, count)]
    if old.active and not c.active:
        model = "The next round leaves its answers out and no longer suggests it."
        return [Change("retire", c.key, old.name, f"“{old.name}” is retired.", model, count)]
    found = []
    if c.active and not old.active:
        model = "The next round learns its old answers as this class again."
        text = f"“{c.name}” is offered again."
        found.append(Change("reactivate", c.key, c.name, text, model, count))
    if not c.active:
        return found
    if old.name != c.name:
        text = f"“{old.name}” is renamed to “{c.name}”."
        found.append(Change("rename", c.key, c.name, text, "It stays the same class for the model.", count))
    others = [
        word for field, word in WORDS.items() if field != "name" and getattr(old, field) != getattr(c, field)
    ]
    if others:
        found.append(Change("change", c.key, c.name, f"“{c.name}” is {_listed(others)}."))
    return found


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
