"""Putting items in: in batches, each whole or not at all, and harmless to repeat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from annotator.items import files
from annotator.items.matching import Match, NewItem, OnConflict, Outcome, ProjectLookup, match_items
from annotator.items.models import Asset
from annotator.projects.models import Project

__all__ = [
    "NewItem",
    "Outcome",
    "add_items",
    "add_predictions",
    "file_words",
    "item_lock",
    "place_items",
    "remove_unused_assets",
]

COPY_ITEMS = """
COPY items_item (project_id, row, external_id, text, asset_id, content_hash, split, meta, created_at) FROM STDIN
"""
# Rows are dense: those just added are a range of the index.
ADD_LABELS = """
INSERT INTO items_importedlabel (item_id, classes, source, created_at)
SELECT i.id, (l->1)::jsonb, %(source)s, now() FROM json_array_elements(%(labels)s::json) AS l
JOIN items_item i ON i.project_id = %(project)s AND i.row = (l->>0)::int
"""
LABEL_KNOWN = """
INSERT INTO items_importedlabel (item_id, classes, source, created_at)
SELECT (l->>0)::bigint, (l->1)::jsonb, %(source)s, now() FROM json_array_elements(%(labels)s::json) AS l
ON CONFLICT (item_id) DO UPDATE SET classes = excluded.classes, source = excluded.source
"""
# The words of many rows are cheaper to file at once, after the import; until then searches read the list of them.
MANY_ROWS = 1_000
SEARCH_LATER = "SET LOCAL gin_pending_list_limit = '1GB'; SET LOCAL work_mem = '64MB'"
ADD_ASSETS = """
INSERT INTO items_asset (project_id, digest, media_type, size, width, height, frames, location, created_at)
SELECT %s, *, now()
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::text[])
ON CONFLICT (project_id, digest) DO NOTHING
"""


ADD_PREDICTIONS = """
INSERT INTO items_importedprediction (item_id, source, classes, created_at)
SELECT i.id, %(source)s, (p->1)::jsonb, now() FROM json_array_elements(%(predictions)s::json) AS p
JOIN items_item i ON i.id = (p->>0)::bigint AND i.project_id = %(project)s
ON CONFLICT (item_id, source) DO UPDATE SET classes = excluded.classes, created_at = excluded.created_at
"""


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
    return [match.outcome for match in place_items(project_id=project_id, items=items, source=source)]


def place_items(
    *, project_id: int, items: Sequence[NewItem], source: str, on_conflict: str = OnConflict.KEEP
) -> list[Match]:
    """`add_items` that also tells under which id each row went in, or what stood in its way."""
    with item_lock(project_id) as cursor:
        matches = match_items(items, ProjectLookup(cursor, project_id), on_conflict)
        new = [n for n, match in enumerate(matches) if match.outcome is Outcome.CREATED]
        source = source[:200]
        _label_known(cursor, source, zip(items, matches, strict=True))
        for item, match in zip(items, matches, strict=True):
            if match.outcome is Outcome.KNOWN and item.payload is not None:
                files.store(project_id, item.digest, item.payload)  # it may have been a reference so far
        if new:
            assets = _add_assets(cursor, project_id, [items[n] for n in new])
            first = Project.reserve_rows(project_id, len(new))
            now = timezone.now()
            if len(new) >= MANY_ROWS:
                cursor.execute(SEARCH_LATER)
            with cursor.copy(COPY_ITEMS) as copy:
                for row, n in enumerate(new, start=first):
                    item = items[n]
                    asset = assets[item.digest] if item.text is None else None
                    meta = json.dumps(item.meta) if item.meta else "{}"
                    copy.write_row(
                        (
                            project_id,
                            row,
                            matches[n].name,
                            item.text,
                            asset,
                            item.digest,
                            item.split,
                            meta,
                            now,
                        )
                    )
            labels = [(row, items[n].classes) for row, n in enumerate(new, start=first) if items[n].classes]
            if labels:
                cursor.execute(
                    ADD_LABELS, {"labels": json.dumps(labels), "project": project_id, "source": source}
                )
    return matches


def file_words() -> None:
    """File the words of texts that large imports left in the list for later; searches find them before, but slower."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('item_search')")


def add_predictions(*, project_id: int, source: str, rows: Sequence[tuple[int, dict[str, float]]]) -> int:
    """Keep what the model `source` says of items, given as (item id, {class: probability}); returns how many are kept.

    A later prediction of the same source replaces the earlier one; items of other projects are left out.
    """
    newest = dict(rows)
    values: dict[str, Any] = {
        "project": project_id,
        "source": source[:200],
        "predictions": json.dumps(list(newest.items())),
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


def _label_known(cursor: CursorWrapper, source: str, rows: Iterable[tuple[NewItem, Match]]) -> None:
    """What this import says of items that were there; of several rows for one item, the first counts."""
    labels: dict[int, tuple[str, ...]] = {}
    for item, match in rows:
        if match.outcome is Outcome.KNOWN and match.item_id is not None and item.classes:
            labels.setdefault(match.item_id, item.classes)
    if labels:
        cursor.execute(LABEL_KNOWN, {"labels": json.dumps(list(labels.items())), "source": source})


def _add_assets(cursor: CursorWrapper, project_id: int, items: Sequence[NewItem]) -> dict[str, int]:
    """Files first, rows after: a row without its bytes never exists. Returns the assets' ids by digest."""
    assets: dict[str, Asset] = {}
    for item in items:
        if item.asset is not None and item.digest not in assets:
            assets[item.digest] = item.asset
        if item.payload is not None:
            files.store(project_id, item.digest, item.payload)
    if not assets:
        return {}
    columns = [
        (a.digest, a.media_type, a.size, a.width, a.height, a.frames, a.location) for a in assets.values()
    ]
    cursor.execute(ADD_ASSETS, [project_id, *map(list, zip(*columns, strict=True))])
    cursor.execute(
        "SELECT digest, id FROM items_asset WHERE project_id = %s AND digest = ANY(%s)",
        [project_id, list(assets)],
    )
    return dict(cursor.fetchall())
