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
SUFFIXES_AT_ONCE = 8  # names tried in the first look-up; each further one tries twice as many
MAX_SUFFIX = 1_000  # more contents under one id than this are a wrong column, not conflicts
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
    NEW = "new"  # the row comes in under an id with the next free suffix, up to MAX_SUFFIX


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
    beside: dict[str, _Beside] = {}
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
            names = beside.get(name) or beside.setdefault(name, _Beside(name, place, places, lookup))
            match = names.match(item.digest)
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


class _Beside:
    """name#2, name#3, … as they are found or taken while the rows of one call are matched.

    What was passed once is remembered by its content, so that n rows of one id cost n steps, not n².
    """

    def __init__(self, name: str, place: Place, places: dict[str, Place], lookup: Lookup) -> None:
        self.name, self.place, self.places, self.lookup = name, place, places, lookup
        self.passed: dict[str, tuple[str, int | None]] = {}  # {content: (its id here, its item)}
        self.number = self.looked_up = 2
        self.at_once = SUFFIXES_AT_ONCE

    def match(self, digest: str) -> Match:
        """The first name that is free, or that has this very content: then it came in before."""
        while digest not in self.passed:
            if self.number > MAX_SUFFIX:
                return Match(Outcome.CHANGED, self.name, self.place.item_id, conflict=True)
            name = suffixed(self.name, self.number)
            place = self._place(name)
            if place is None:
                # Taken now, and passed by the next row, which finds it among the places.
                return Match(Outcome.CREATED, name, conflict=True)
            self.passed.setdefault(place.digest, (name, place.item_id))
            self.number += 1
        name, item_id = self.passed[digest]
        return Match(Outcome.KNOWN, name, item_id, conflict=True)

    def _place(self, name: str) -> Place | None:
        if self.number == self.looked_up:
            self.looked_up = min(self.number + self.at_once, MAX_SUFFIX + 1)
            self.at_once *= 2
            names = [suffixed(self.name, n) for n in range(self.number, self.looked_up)]
            # Rows before this one may have taken names that the project does not know yet.
            self.places |= self.lookup.names(each for each in names if each not in self.places)
        return self.places.get(name)
