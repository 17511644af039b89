"""Classes as values: what a schema version holds, the operations that lead to the next one, and its rules. No database.

A key, once given, stays in every later version and never changes meaning: a class that is retired or merged goes on
existing as inactive, so that every answer ever given can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from django.utils.text import slugify

from annotator.common.errors import Invalid
from annotator.projects.hotkeys import check_hotkey, free_hotkey

# Told apart by most eyes, on light and dark ground.
PALETTE = (
    "#4363d8", "#e6194b", "#3cb44b", "#f58231", "#911eb4", "#0fa3b1", "#c9a227", "#f032e6", "#7a5c3e", "#2f855a",
    "#b5446e", "#6d6875", "#008080", "#9a6324", "#5f6caf", "#808000",
)  # fmt: skip
COLOUR = re.compile(r"#[0-9a-f]{6}")
MAX_CLASSES = 1000
MAX_NAME = 100
MAX_DESCRIPTION = 2000


@dataclass(frozen=True)
class ClassState:
    """A class in one version. Its place in the version's tuple is its order."""

    key: str
    name: str
    colour: str = PALETTE[0]
    hotkey: str = ""
    description: str = ""
    parent: str = ""
    is_outlier: bool = False
    active: bool = True
    merged_into: str = ""


Classes = tuple[ClassState, ...]
FIELDS = tuple(field.name for field in fields(ClassState))
EDITABLE = frozenset({"name", "colour", "hotkey", "description", "parent", "is_outlier"})


def fresh_key(name: str, taken: Iterable[str]) -> str:
    """A key for a new class: the slug of its name, with a number when the project's history knows it already."""
    base = slugify(name)[:80].strip("-_") or "class"
    used = set(taken)
    key, number = base, 2
    while key in used:
        key, number = f"{base}-{number}", number + 1
    return key


def add(classes: Classes, *, name: str, **given: Any) -> Classes:
    """A new class at the end; colour and hotkey are chosen unless given."""
    _no_others(given, EDITABLE | {"key"})
    key = fresh_key(name, (c.key for c in classes))
    wanted = given.pop("key", None)
    if wanted and (wanted in {c.key for c in classes} or wanted != slugify(wanted) or len(wanted) > MAX_NAME):
        raise Invalid(
            f"{wanted!r} cannot be the key of a new class.",
            code="bad_key",
            hint="It must be new and made of lower-case letters, digits, - and _.",
        )
    if given.get("colour") is None:
        used = {c.colour for c in classes}
        given["colour"] = next((c for c in PALETTE if c not in used), PALETTE[len(classes) % len(PALETTE)])
    if given.get("hotkey") is None:
        taken = {c.hotkey for c in classes if c.active}
        given["hotkey"] = free_hotkey(str(name), taken)
    return (*classes, _clean(ClassState(key=wanted or key, name=name, **given)))


def change(classes: Classes, *, key: str, **given: Any) -> Classes:
    """Other values for some of a class's fields; the key stays."""
    _no_others(given, EDITABLE)
    _find(classes, key)
    return tuple(_clean(replace(c, **given)) if c.key == key else c for c in classes)


def reorder(classes: Classes, *, keys: Sequence[str]) -> Classes:
    """Active classes in the order of `keys`, which names each of them once; inactive ones follow."""
    active = {c.key: c for c in classes if c.active}
    if sorted(keys) != sorted(active):
        raise Invalid("The order must name each active class once.", code="bad_order")
    return (*(active[key] for key in keys), *(c for c in classes if not c.active))


def retire(classes: Classes, *, key: str) -> Classes:
    """Offer the class no more. Its answers stay and count for no class; its children move up to its parent."""
    gone = _find_active(classes, key)
    moved = tuple(replace(c, parent=gone.parent) if c.parent == key else c for c in classes)
    return _off(moved, key, heir="")


def reactivate(classes: Classes, *, key: str) -> Classes:
    """Offer a retired or merged class again, with its old answers. A hotkey taken meanwhile is not given back."""
    found = _find(classes, key)
    if found.active:
        raise Invalid(f"{found.name!r} is active.", code="active_class")
    active = [c for c in classes if c.active]
    back = replace(
        found,
        active=True,
        merged_into="",
        hotkey="" if found.hotkey in {c.hotkey for c in active} else found.hotkey,
        parent=found.parent if found.parent in {c.key for c in active} else "",
        is_outlier=found.is_outlier and not any(c.is_outlier for c in active),
    )
    return (*(c for c in classes if c.active), back, *(c for c in classes if not c.active and c.key != key))


def merge(classes: Classes, *, key: str, into: str) -> Classes:
    """Count all answers of `key` as `into` from now on, and offer `key` no more. Its children move along."""
    gone, heir = _find_active(classes, key), _find_active(classes, into)
    if key == into:
        raise Invalid(f"{gone.name!r} cannot be merged into itself.", code="self_merge")
    above = {into, *_ancestors(classes, heir)}
    moved = tuple(
        replace(c, parent=gone.parent if c.key in above else into) if c.parent == key else c for c in classes
    )
    return _off(moved, key, heir=into)


def set_outlier(classes: Classes, *, key: str) -> Classes:
    """Make `key` the 'none of these' class instead of any other; empty: none."""
    if key:
        _find_active(classes, key)
    return tuple(replace(c, is_outlier=c.key == key) if c.active else c for c in classes)


OPERATIONS: Mapping[str, Callable[..., Classes]] = {
    "add": add,
    "change": change,
    "reorder": reorder,
    "retire": retire,
    "reactivate": reactivate,
    "merge": merge,
    "outlier": set_outlier,
}
ONE_FIELD = {
    "rename": "name", "recolour": "colour", "hotkey": "hotkey", "describe": "description", "parent": "parent",
}  # fmt: skip


def apply(classes: Classes, operations: Iterable[Mapping[str, Any]]) -> Classes:
    """Classes after `operations`, each `{"op": name, …}`; the result keeps all rules or Invalid says which not."""
    for operation in operations:
        values = dict(operation)
        name = values.pop("op", None)
        if name in ONE_FIELD:
            _no_others(values, frozenset({"key", ONE_FIELD[name]}))
            name = "change"
        if name not in OPERATIONS:
            known = ", ".join([*OPERATIONS, *ONE_FIELD])
            raise Invalid(f"There is no operation {name!r}. Known are: {known}.", code="unknown_operation")
        try:
            classes = OPERATIONS[name](classes, **values)
        except TypeError as error:
            raise Invalid(
                f"The operation {name!r} does not take these fields.", code="bad_operation"
            ) from error
    return classes


def target(classes: Classes, wanted: Sequence[Mapping[str, Any]]) -> Classes:
    """Classes after a full list was given in place of operations.

    Entries with a known `key` change that class (fields left out stay), entries without one add a class. `active`
    false retires, true reactivates, `merge_into` merges; active classes that are not listed retire. The order is the list's.
    """
    known = {c.key: c for c in classes}
    listed = [entry["key"] for entry in wanted if entry.get("key")]
    if len(set(listed)) != len(listed):
        raise Invalid("A class is listed twice.", code="listed_twice")
    order: list[str] = []
    merges: list[tuple[str, str]] = []
    retired = [c.key for c in classes if c.active and c.key not in listed]
    for entry in wanted:
        values = dict(entry)
        key = values.pop("key", None) or ""
        active, into = values.pop("active", True), values.pop("merge_into", None)
        if key not in known:
            classes = add(classes, **values, **({"key": key} if key else {}))
            order.append(classes[-1].key)
            continue
        if known[key].active or active:
            if not known[key].active:
                classes = reactivate(classes, key=key)
            classes = change(classes, key=key, **values)
        if into:
            merges.append((key, into))
        elif known[key].active and not active:
            retired.append(key)
        elif active:
            order.append(key)
    # First who is there, then who goes: a class can be merged into one that is new in the same list.
    for key, into in _in_order(merges):
        classes = merge(classes, key=key, into=into)
    for key in retired:
        classes = retire(classes, key=key)
    return reorder(classes, keys=order)


def validate(classes: Classes, *, task: str) -> None:
    """Raise Invalid unless people can work with these classes."""
    active = [c for c in classes if c.active]
    least = 2 if task == "single" else 1
    if len(active) < least:
        raise Invalid(
            f"{least} active {'class is' if least == 1 else 'classes are'} the least.", code="too_few_classes"
        )
    if len(classes) > MAX_CLASSES:
        raise Invalid(f"{MAX_CLASSES} classes are the most.", code="too_many_classes")
    if twice := _repeated(c.name.casefold() for c in active):
        raise Invalid(f"Two classes are named {twice!r}.", code="name_twice")
    if twice := _repeated(c.hotkey for c in active if c.hotkey):
        raise Invalid(f"Two classes have the hotkey {twice!r}.", code="hotkey_twice")
    if sum(c.is_outlier for c in active) > 1:
        raise Invalid("One class at most can be the outlier class.", code="two_outliers")
    keys = {c.key for c in active}
    for c in active:
        if c.parent and c.parent not in keys:
            raise Invalid(f"{c.name!r} has a parent that is no active class.", code="unknown_parent")
        if c.key in _ancestors(classes, c):
            raise Invalid(f"{c.name!r} would be above itself in the tree.", code="parent_cycle")


def _clean(c: ClassState) -> ClassState:
    """The class with its texts trimmed, colour and hotkey in their stored form; raises Invalid."""
    for field in ("name", "colour", "hotkey", "description", "parent"):
        if not isinstance(getattr(c, field), str) or "\x00" in getattr(c, field):
            raise Invalid(f"The field {field!r} must be text.", code="bad_class")
    if not isinstance(c.is_outlier, bool):
        raise Invalid("The field 'is_outlier' must be true or false.", code="bad_class")
    name, colour = " ".join(c.name.split()), c.colour.lower()
    if not name or len(name) > MAX_NAME:
        raise Invalid(f"A class needs a name of at most {MAX_NAME} characters.", code="bad_name")
    if len(c.description) > MAX_DESCRIPTION:
        raise Invalid(f"A description has at most {MAX_DESCRIPTION} characters.", code="bad_description")
    if not COLOUR.fullmatch(colour):
        raise Invalid(f"{c.colour!r} is no colour: write #rrggbb.", code="bad_colour")
    return replace(
        c, name=name, colour=colour, hotkey=check_hotkey(c.hotkey), description=c.description.strip()
    )


def _ancestors(classes: Classes, c: ClassState) -> set[str]:
    """Keys above a class; holds its own key when there is a cycle."""
    parents = {other.key: other.parent for other in classes}
    above: set[str] = set()
    key = c.parent
    while key and key not in above:
        above.add(key)
        key = parents.get(key, "")
    return above


def _off(classes: Classes, key: str, *, heir: str) -> Classes:
    gone = replace(_find(classes, key), active=False, merged_into=heir)
    return (*(c for c in classes if c.key != key), gone)


def _find(classes: Classes, key: str) -> ClassState:
    found = next((c for c in classes if c.key == key), None)
    if found is None:
        raise Invalid(f"There is no class {key!r}.", code="unknown_class")
    return found


def _find_active(classes: Classes, key: str) -> ClassState:
    found = _find(classes, key)
    if not found.active:
        raise Invalid(f"{found.name!r} is not active.", code="inactive_class")
    return found


def _in_order(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A into B before B into C, however they were listed."""
    ordered: list[tuple[str, str]] = []
    left = list(merges)
    while left:
        heirs = {into for _, into in left}
        ready = [pair for pair in left if pair[0] not in heirs]
        if not ready:
            raise Invalid("Classes are merged into each other in a circle.", code="merge_cycle")
        ordered += ready
        left = [pair for pair in left if pair not in ready]
    return ordered


def _repeated(values: Iterable[str]) -> str:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return ""


def _no_others(given: Mapping[str, Any], allowed: frozenset[str]) -> None:
    if others := sorted(set(given) - allowed):
        raise Invalid(f"A class has no field {others[0]!r} to set.", code="bad_field")
