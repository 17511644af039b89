"""What writers and readers of several formats share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from annotator.transfer.formats.base import (
    EXCERPT,
    PREVIEW_ROWS,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.characters import detect_encoding, lines
from annotator.transfer.records import ExportItem

ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tif",
}
LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
SNIFFED = 2**16  # bytes that are looked at to recognise a file


def json_line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def picture_name(item: ExportItem) -> str:
    """A file name that is safe everywhere, unique by its row and still tells the item's id."""
    assert item.asset is not None
    stem = item.external_id.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60]
    return f"{item.row:07}{'-' + safe if safe else ''}.{ENDINGS.get(item.asset['media_type'], 'bin')}"


def beginning(source: Source) -> str:
    """The first bytes as text, for recognising; what is not UTF-8 is replaced."""
    with source.path.open("rb") as file:
        return file.read(SNIFFED).decode("utf-8-sig", "replace")


def first_object(source: Source) -> dict[str, Any]:
    """The first line as a JSON object; empty when it is none, or does not end where one looks."""
    line = beginning(source).lstrip().split("\n", 1)[0]
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def json_objects(source: Source, encoding: str = "utf-8") -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(line number, object or what is wrong) of JSON lines, blank ones left out."""
    for number, (line, whole) in enumerate(lines(source, encoding), start=1):
        if not whole:
            yield number, RowError(line=number, reason="The line is too long.", excerpt=line[:EXCERPT])
        elif line.strip():
            yield number, _object(number, line)


def preview(source: Source, rows: Iterator[Row | RowError], given: Options | None) -> Layout:
    """The layout of a format whose columns are fixed."""
    detect_encoding(source)
    found = [row for row in islice(rows, PREVIEW_ROWS * 2) if isinstance(row, Row)][:PREVIEW_ROWS]
    if not found:
        raise FormatError("There is no row that can be read.")
    return Layout(
        options=given or Options(),
        columns=["id", "text", "labels"],
        rows=[[row.external_id, row.text or "", ", ".join(row.labels)] for row in found],
    )


def names_of(value: Any) -> tuple[str, ...] | None:
    """Distinct class names of a string or a list of them; None for anything else."""
    values = value if isinstance(value, list) else [value] if value is not None else []
    if not all(isinstance(each, str) for each in values):
        return None
    return tuple(dict.fromkeys(each for each in values if each.strip()))


def scores_of(value: Any) -> dict[str, float]:
    """{class: score} as far as they are names and finite numbers."""
    if not isinstance(value, dict):
        return {}
    return {
        name: float(score)
        for name, score in value.items()
        if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < 1e300
    }


def majority(answers: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The answer that most gave; the first of several such. Nothing without answers."""
    return max(answers, key=answers.count) if answers else ()


def text_row(
    number: int, *, text: Any, labels: tuple[str, ...] | None, external_id: Any = "", **others: Any
) -> Row | RowError:
    """The row of these values, or what is wrong with them."""
    if not isinstance(text, str) or not text:
        return RowError(line=number, reason="The text is empty or no text.")
    if labels is None:
        return RowError(line=number, reason="The label is no class name.", excerpt=text[:EXCERPT])
    name = external_id if isinstance(external_id, str) else ""
    return Row(line=number, external_id=name.strip(), text=text, labels=labels, **others)


def _object(number: int, line: str) -> dict[str, Any] | RowError:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return RowError(
            line=number,
            reason=f"Not JSON: {error.msg} (character {error.colno}).",
            excerpt=line[:EXCERPT].strip(),
        )
    except (ValueError, RecursionError) as error:
        return RowError(line=number, reason=f"Not JSON: {error}.", excerpt=line[:EXCERPT].strip())
    if not isinstance(value, dict):
        return RowError(line=number, reason="Not a JSON object.", excerpt=line[:EXCERPT].strip())
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
