"""Which rows are new, which are there already, and which want an id that other content has. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from django.db.backends.utils import CursorWrapper

from annotator.items.models import Asset, Item

MAX_ID = 500
SUFFIXES_AT_ONCE = 8  # names tried in one look-up
# Subqueries, not joins: each row is looked up by index, so that the cost does not grow with the project.
# Lists go in as JSON: writing one is several times faster than writing an array of the database's.
FIND_NAMES = """
SELECT n, i.id, i.content_hash FROM json_array_elements_text(%s::json) AS n
CROSS JOIN LATERAL (SELECT id, content_hash FROM items_item WHERE project_id = %s AND external_id = n OFFSET 0) i
"""
FIND_CONTENTS = """
SELECT h, (SELECT i.id FROM items_item i WHERE i.project_id = %s AND i.content_hash = h ORDER BY i.id LIMIT 1)
FROM json_array_elements_text(%s::json) AS h
"""


class Outcome(StrEnum):
    CREATED = "created"
    KNOWN = "known"
    CHANGED = "changed"  # the id is taken by an item with other content, which stays as it is


class OnConflict(StrEnum):
    """What becomes of a row whose id has other content."""

    KEEP = "keep"  # the item there stays, the row does not come in
    NEW = "new"  # the row comes in under an id with the next free suffix


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """A checked item to add. Without an `external_id` it is named after its content.

    Either `text` or a probed `asset` is given: with its `payload`, or with a location from which it can be fetched again.
    `classes` is what the source says the item is.
    """

    digest: str
    external_id: str = ""
    text: str | None = None
    payload: bytes | None = None
    asset: Asset | None = None
    split: str = Item.Split.POOL
    meta: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return self.external_id or self.digest[:32]


class Place(NamedTuple):
    """An item that has an id already; `item_id` is None for one that comes in with the same rows."""

    digest: str
    item_id: int | None = None


class Match(NamedTuple):
    """What becomes of a row: under which id, as which item; `conflict`: its own id has other content."""

    outcome: Outcome
    name: str
    item_id: int | None = None
    conflict: bool = False


class Lookup(Protocol):
    """What is there, by index."""

    def names(self, names: Iterable[str]) -> dict[str, Place]: ...

    def contents(self, digests: Iterable[str]) -> dict[str, int | None]: ...


class ProjectLookup:
    """The items of a project."""

    def __init__(self, cursor: CursorWrapper, project_id: int) -> None:
        self.cursor, self.project_id = cursor, project_id

    def names(self, names: Iterable[str]) -> dict[str, Place]:
        self.cursor.execute(FIND_NAMES, [json.dumps(list(names)), self.project_id])
        return {name: Place(digest, item_id) for name, item_id, digest in self.cursor.fetchall()}

    def contents(self, digests: Iterable[str]) -> dict[str, int | None]:
        self.cursor.execute(FIND_CONTENTS, [self.project_id, json.dumps(list(digests))])
        return {digest: item_id for digest, item_id in self.cursor.fetchall() if item_id is not None}


def match_items(items: Sequence[NewItem], lookup: Lookup, on_conflict: str = OnConflict.KEEP) -> list[Match]:
    """One match a row, in order; rows also meet those before them. Two look-ups, and more only for conflicts."""
    places = lookup.names({item.identity for item in items})
    unnamed = {item.digest for item in items if not item.external_id}
    contents = lookup.contents(unnamed) if unnamed else {}
    found: list[Match] = []
    for item in items:
        name = item.identity
        place = places.get(name)
        if place is not None and place.digest == item.digest:
            match = Match(Outcome.KNOWN, name, place.item_id)
        elif not item.external_id and item.digest in contents:
            match = Match(Outcome.KNOWN, name, contents[item.digest])
        elif place is None:
            match = Match(Outcome.CREATED, name)
        elif on_conflict == OnConflict.NEW:
            match = _beside(item, places, lookup)
        else:
            match = Match(Outcome.CHANGED, name, place.item_id, conflict=True)
        if match.outcome is Outcome.CREATED:
            places[match.name] = Place(item.digest)
            contents.setdefault(item.digest, None)
        found.append(match)
    return found


def suffixed(name: str, number: int) -> str:
    """The id of the `number`th content under one name, within the longest id."""
    suffix = f"#{number}"
    return name[: MAX_ID - len(suffix)] + suffix


def _beside(item: NewItem, places: dict[str, Place], lookup: Lookup) -> Match:
    """The first of name#2, name#3, … that is free, or that has this very content: then it came in before."""
    number, at_once = 2, SUFFIXES_AT_ONCE
    while True:
        names = [suffixed(item.identity, n) for n in range(number, number + at_once)]
        # Rows before this one may have taken names that the project does not know yet.
        places |= lookup.names(name for name in names if name not in places)
        for name in names:
            place = places.get(name)
            if place is None:
                return Match(Outcome.CREATED, name, conflict=True)
            if place.digest == item.digest:
                return Match(Outcome.KNOWN, name, place.item_id, conflict=True)
        number, at_once = number + at_once, min(at_once * 2, 1000)
