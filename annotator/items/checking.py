"""What adding rows would do, found out without adding any: for dry runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from django.db import DatabaseError, connection

from annotator.items.matching import (
    Match,
    NewItem,
    OnConflict,
    Outcome,
    Place,
    ProjectLookup,
    match_items,
)

# Rows seen so far live in the database, for the session only: a file of millions takes no memory here.
CREATE = """
DROP TABLE IF EXISTS pg_temp.checked_items;
CREATE TEMPORARY TABLE checked_items (external_id text COLLATE "C" PRIMARY KEY, content_hash text, folded text COLLATE "C");
CREATE INDEX ON checked_items (content_hash);
CREATE INDEX ON checked_items (folded) WHERE folded IS NOT NULL
"""
CHECKED_NAMES = "SELECT external_id, content_hash FROM checked_items WHERE external_id = ANY(%s)"
CHECKED_CONTENTS = """
SELECT h FROM unnest(%s::text[]) AS h WHERE (SELECT 1 FROM checked_items c WHERE c.content_hash = h LIMIT 1) = 1
"""
CHECKED_ALIKE = "SELECT folded, external_id FROM checked_items WHERE folded = ANY(%s)"
# Names of one stem lie side by side in the index by bytes: '/' comes right after '.'.
PROJECT_STEMS = """
SELECT s.n, array(SELECT i.external_id FROM items_item i WHERE i.project_id = %s
                  AND i.external_id >= s.stem || '.' AND i.external_id < s.stem || '/' LIMIT 5)
FROM unnest(%s::text[], %s::text[]) AS s(n, stem)
"""


class Finding(NamedTuple):
    """What would become of a row; `alike` is another name that differs from its own in case, form or ending only."""

    match: Match
    alike: str = ""


class Checker:
    """Says of batch after batch what adding them would do; use as a context, on one database connection."""

    def __init__(self, project_id: int, *, on_conflict: str = OnConflict.KEEP, files: bool = False) -> None:
        self.project_id, self.on_conflict, self.files = project_id, on_conflict, files

    def __enter__(self) -> Self:
        self.cursor = connection.cursor()
        self.cursor.execute(CREATE)
        self.project = ProjectLookup(self.cursor, self.project_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not connection.needs_rollback:
                self.cursor.execute("DROP TABLE IF EXISTS pg_temp.checked_items")
        except DatabaseError:
            connection.close()  # takes the table along
        finally:
            self.cursor.close()

    def check(self, items: Sequence[NewItem]) -> list[Finding]:
        """One finding a row, in order; rows meet those of earlier batches as well."""
        matches = match_items(items, self, self.on_conflict)
        alike = self._alike(items) if self.files else {}
        with self.cursor.copy("COPY checked_items FROM STDIN") as copy:
            for item, match in zip(items, matches, strict=True):
                if match.outcome is Outcome.CREATED:
                    copy.write_row((match.name, item.digest, folded(match.name) if self.files else None))
        return [
            Finding(match, alike.get(item.identity, "") if match.outcome is not Outcome.KNOWN else "")
            for item, match in zip(items, matches, strict=True)
        ]

    def names(self, names: Iterable[str]) -> dict[str, Place]:
        wanted = list(names)
        self.cursor.execute(CHECKED_NAMES, [wanted])
        here = {name: Place(digest) for name, digest in self.cursor.fetchall()}
        return here | self.project.names(wanted)

    def contents(self, digests: Iterable[str]) -> dict[str, int | None]:
        wanted = list(digests)
        self.cursor.execute(CHECKED_CONTENTS, [wanted])
        here: dict[str, int | None] = {digest: None for (digest,) in self.cursor.fetchall()}
        return here | self.project.contents(wanted)

    def _alike(self, items: Sequence[NewItem]) -> dict[str, str]:
        """For names of these rows: one that came before, or that the project has, and that is nearly the same."""
        names = list(dict.fromkeys(item.identity for item in items))
        forms = {name: folded(name) for name in names}
        self.cursor.execute(CHECKED_ALIKE, [list(set(forms.values()))])
        first: dict[str, str] = dict(self.cursor.fetchall())
        there = self._in_project(names, forms)
        found: dict[str, str] = {}
        for name in names:
            other = there.get(name) or first.setdefault(forms[name], name)
            if other != name:
                found[name] = other
        return found

    def _in_project(self, names: list[str], forms: dict[str, str]) -> dict[str, str]:
        """By index only: other endings of the same stem, and the spellings that people and systems really use."""
        found: dict[str, str] = {}
        stems = [name[: len(name) - len(_ending(name))] for name in names]
        self.cursor.execute(PROJECT_STEMS, [self.project_id, names, stems])
        for name, others in self.cursor.fetchall():
            for other in others:
                if other != name and folded(other) == forms[name]:
                    found[name] = other
        spellings = {spelling: name for name in names for spelling in _spellings(name) - {name}}
        for spelling in self.project.names(spellings):
            found.setdefault(spellings[spelling], spelling)
        return found


def folded(name: str) -> str:
    """What is left of a file's name without its case, its Unicode form and its ending."""
    return unicodedata.normalize("NFC", name[: len(name) - len(_ending(name))]).casefold()


def _ending(name: str) -> str:
    last = name.rpartition("/")[2]
    stem, dot, ending = last.rpartition(".")
    return dot + ending if stem else ""


def _spellings(name: str) -> set[str]:
    whole = {
        name.lower(),
        name.upper(),
        unicodedata.normalize("NFD", name),
        unicodedata.normalize("NFC", name),
    }
    folder, slash, last = name.rpartition("/")
    return whole | {folder + slash + form for form in (last.lower(), last.upper(), last.capitalize())}
