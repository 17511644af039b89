"""Putting items in: in batches, each whole or not at all, and harmless to repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from annotator.items import files
from annotator.items.models import Asset, Item
from annotator.projects.models import Project

STAGE = """
CREATE TEMPORARY TABLE staged_items (
  ordinal int, named bool, external_id text, text text, content_hash text, split text, meta jsonb, classes jsonb,
  item_id bigint, changed bool
) ON COMMIT DROP
"""
COPY = "COPY staged_items (ordinal, named, external_id, text, content_hash, split, meta, classes) FROM STDIN"
# Subqueries, not joins: they look up each row by index, so that the cost does not grow with the project.
FIND_BY_ID = """
UPDATE staged_items s SET (item_id, changed) = (
  SELECT i.id, i.content_hash <> s.content_hash FROM items_item i
  WHERE i.project_id = %(project)s AND i.external_id = s.external_id)
"""
# Rows without a name of their own are the same item when their content is.
FIND_BY_CONTENT = """
UPDATE staged_items s SET (item_id, changed) = (
  SELECT i.id, false FROM items_item i
  WHERE i.project_id = %(project)s AND i.content_hash = s.content_hash ORDER BY i.id LIMIT 1)
WHERE NOT s.named AND s.item_id IS NULL
"""
INSERT = """
WITH added AS (
  INSERT INTO items_item (project_id, row, external_id, text, asset_id, content_hash, split, meta, created_at)
  SELECT %(project)s, %(first)s + row_number() OVER (ORDER BY s.ordinal) - 1, s.external_id, s.text, a.id,
         s.content_hash, s.split, s.meta, now()
  FROM staged_items s
  LEFT JOIN items_asset a ON a.project_id = %(project)s AND a.digest = s.content_hash AND s.text IS NULL
  WHERE s.item_id IS NULL
  RETURNING id, external_id
)
INSERT INTO items_importedlabel (item_id, classes, source, created_at)
SELECT added.id, s.classes, %(source)s, now()
FROM added JOIN staged_items s ON s.external_id = added.external_id WHERE s.classes IS NOT NULL
"""
LABEL_KNOWN = """
INSERT INTO items_importedlabel (item_id, classes, source, created_at)
SELECT DISTINCT ON (item_id) item_id, classes, %(source)s, now() FROM staged_items
WHERE item_id IS NOT NULL AND NOT changed AND classes IS NOT NULL ORDER BY item_id, ordinal
ON CONFLICT (item_id) DO UPDATE SET classes = excluded.classes, source = excluded.source
"""
ADD_ASSETS = """
INSERT INTO items_asset (project_id, digest, media_type, size, width, height, frames, location, created_at)
SELECT %s, *, now()
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::text[])
ON CONFLICT (project_id, digest) DO NOTHING
"""


ADD_PREDICTIONS = """
INSERT INTO items_importedprediction (item_id, source, classes, created_at)
SELECT i.id, %(source)s, p.classes, now()
FROM unnest(%(items)s::bigint[], %(classes)s::jsonb[]) AS p(item_id, classes)
JOIN items_item i ON i.id = p.item_id AND i.project_id = %(project)s
ON CONFLICT (item_id, source) DO UPDATE SET classes = excluded.classes, created_at = excluded.created_at
"""


class Outcome(StrEnum):
    CREATED = "created"
    KNOWN = "known"
    CHANGED = "changed"  # the id is taken by an item with other content, which stays as it is


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


@contextmanager
def item_lock(project_id: int) -> Iterator[CursorWrapper]:
    """A transaction in which nobody else adds items to, or deletes items from, the project."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, -1)", [project_id])
        yield cursor


def add_items(*, project_id: int, items: Sequence[NewItem], source: str) -> list[Outcome]:
    """Add those that are new, in order and with dense rows; returns what became of each.

    `source` says where imported labels come from. Adding the same items again changes nothing.
    """
    outcomes, first_of = _within_batch(items)
    with item_lock(project_id) as cursor:
        _add_assets(cursor, project_id, [items[n] for n in first_of])
        cursor.execute(STAGE)
        with cursor.copy(COPY) as copy:
            for n in first_of:
                copy.write_row(_staged(n, items[n]))
        values: dict[str, int | str] = {"project": project_id, "source": source[:200]}
        cursor.execute(FIND_BY_ID, values)
        cursor.execute(FIND_BY_CONTENT, values)
        cursor.execute("SELECT ordinal, changed FROM staged_items WHERE item_id IS NOT NULL")
        for ordinal, changed in cursor.fetchall():
            outcomes[ordinal] = Outcome.CHANGED if changed else Outcome.KNOWN
        cursor.execute(LABEL_KNOWN, values)
        if created := sum(outcomes[n] is Outcome.CREATED for n in first_of):
            cursor.execute(INSERT, values | {"first": Project.reserve_rows(project_id, created)})
        cursor.execute("DROP TABLE staged_items")
    return outcomes


def add_predictions(*, project_id: int, source: str, rows: Sequence[tuple[int, dict[str, float]]]) -> int:
    """Keep what the model `source` says of items, given as (item id, {class: probability}); returns how many are kept.

    A later prediction of the same source replaces the earlier one; items of other projects are left out.
    """
    newest = dict(rows)
    values: dict[str, Any] = {
        "project": project_id,
        "source": source[:200],
        "items": list(newest),
        "classes": [json.dumps(classes) for classes in newest.values()],
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ADD_PREDICTIONS, values)
        count: int = cursor.rowcount
    return count


def remove_unused_assets(*, project_id: int, digests: Sequence[str]) -> None:
    """Delete assets that no item uses any more, and their files once that is certain. Call within item_lock."""
    unused = Asset.objects.filter(project_id=project_id, digest__in=digests, items=None)
    gone = list(unused.values_list("digest", flat=True))
    unused.delete()

    def remove_files() -> None:
        # An import may have brought the same bytes meanwhile: look again where none can.
        with item_lock(project_id):
            kept = set(
                Asset.objects.filter(project_id=project_id, digest__in=gone).values_list("digest", flat=True)
            )
            files.remove(project_id, [digest for digest in gone if digest not in kept])

    if gone:
        transaction.on_commit(remove_files)


def _within_batch(items: Sequence[NewItem]) -> tuple[list[Outcome], list[int]]:
    """Outcomes as far as the batch itself decides, and the positions of first occurrences."""
    outcomes, first_of = [Outcome.CREATED] * len(items), []
    digest_of: dict[str, str] = {}
    contents: set[str] = set()
    for n, item in enumerate(items):
        known = digest_of.get(item.identity)
        if known is not None:
            outcomes[n] = Outcome.KNOWN if known == item.digest else Outcome.CHANGED
        elif not item.external_id and item.digest in contents:
            outcomes[n] = Outcome.KNOWN
        else:
            digest_of[item.identity] = item.digest
            contents.add(item.digest)
            first_of.append(n)
    return outcomes, first_of


def _staged(n: int, item: NewItem) -> tuple[Any, ...]:
    classes = json.dumps(list(item.classes)) if item.classes else None
    meta = json.dumps(item.meta) if item.meta else "{}"
    return n, bool(item.external_id), item.identity, item.text, item.digest, item.split, meta, classes


def _add_assets(cursor: CursorWrapper, project_id: int, items: Sequence[NewItem]) -> None:
    """Files first, rows after: a row without its bytes never exists."""
    assets: dict[str, Asset] = {}
    for item in items:
        if item.asset is not None and item.digest not in assets:
            assets[item.digest] = item.asset
        if item.payload is not None:
            files.store(project_id, item.digest, item.payload)
    if assets:
        columns = [
            (a.digest, a.media_type, a.size, a.width, a.height, a.frames, a.location) for a in assets.values()
        ]
        cursor.execute(ADD_ASSETS, [project_id, *map(list, zip(*columns, strict=True))])
