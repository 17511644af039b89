"""From named cells to rows: what CSV, TSV and JSON lines have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from annotator.transfer.formats.base import EXCERPT, Layout, Options, Row, RowError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for formulas
# Names under which people keep these, best first.
GUESSES = {
    "text": (
        "text",
        "sentence",
        "content",
        "body",
        "document",
        "comment",
        "review",
        "message",
        "tweet",
        "question",
    ),
    "external_id": ("external_id", "id", "uid", "uuid", "guid", "key", "doc_id", "text_id"),
    "label": ("label", "labels", "class", "category", "topic", "target", "intent", "classes"),
    "split": ("split", "set", "partition", "subset", "fold"),
    "group": ("group", "group_id", "source", "author"),
}


def guess_columns(columns: list[str]) -> dict[str, Any]:
    """Which column is what, by name; a table of one column is texts."""
    by_name = {name.strip().lower(): name for name in reversed(columns)}
    found: dict[str, Any] = {
        role: next((by_name[name] for name in names if name in by_name), "")
        for role, names in GUESSES.items()
    }
    if not found["text"] and len(columns) == 1:
        found["text"] = columns[0]
    return found


def missing_columns(layout: Layout, options: Options) -> list[str]:
    """Chosen columns that the file does not have."""
    chosen = (options.text, options.external_id, options.label, options.split, options.group)
    return [name for name in chosen if name and name not in layout.columns]


def row_of_cells(line: int, cells: Mapping[str, Any], options: Options) -> Row | RowError:
    """The row that the options make of one record."""
    text = cells.get(options.text)
    if text is None or text == "":
        return RowError(line=line, reason="The text is empty.", excerpt=excerpt_of(cells))
    if not isinstance(text, str):
        return RowError(line=line, reason=f"“{options.text}” is not a text.", excerpt=excerpt_of(cells))
    labels = _labels(cells.get(options.label), options.label_separator) if options.label else ()
    if labels is None:
        return RowError(
            line=line,
            reason=f"“{options.label}” is neither a text nor a list of texts.",
            excerpt=text[:EXCERPT],
        )
    meta: dict[str, Any] = {}
    if options.keep_rest:
        used = {options.text, options.external_id, options.label, options.split}
        meta = {name: value for name, value in cells.items() if name not in used and value not in ("", None)}
    if options.group and (group := cells.get(options.group)) not in ("", None):
        meta["group"] = group
    external_id = cells.get(options.external_id) if options.external_id else ""
    if options.external_id and (
        external_id is None or isinstance(external_id, dict | list) or not str(external_id).strip()
    ):
        return RowError(line=line, reason=f"“{options.external_id}” is empty.", excerpt=text[:EXCERPT])
    return Row(
        line=line,
        external_id=str(external_id).strip(),
        text=text,
        labels=labels,
        split=str(cells.get(options.split) or "").strip() if options.split else "",
        meta=meta,
    )


def shown(value: Any) -> str:
    """A cell as a preview shows it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def excerpt_of(cells: Mapping[str, Any]) -> str:
    return " | ".join(str(value) for value in cells.values())[:EXCERPT]


def _labels(value: Any, separator: str) -> tuple[str, ...] | None:
    if value is None:
        return ()
    if isinstance(value, bool | dict):
        return None
    values = value if isinstance(value, list) else [value]
    if isinstance(value, str) and separator:
        values = value.split(separator)
    if not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in values):
        return None
    return tuple(dict.fromkeys(name for each in values if (name := str(each).strip())))
