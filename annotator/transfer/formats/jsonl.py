"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from annotator.transfer.formats.base import (
    EXCERPT,
    PREVIEW_ROWS,
    TEXT,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.cells import guess_columns, row_of_cells, shown
from annotator.transfer.formats.characters import detect_encoding, lines


def inspect(source: Source, given: Options | None) -> Layout:
    encoding = given.encoding if given else detect_encoding(source)
    objects = [o for _, o in islice(_objects(source, encoding), PREVIEW_ROWS) if isinstance(o, dict)]
    if not objects:
        raise FormatError('No line is a JSON object such as {"text": "…"}.')
    columns = list(dict.fromkeys(name for each in objects for name in each))
    rows = [[shown(each.get(name)) for name in columns] for each in objects]
    options = given or Options(encoding=encoding, **guess_columns(columns))
    return Layout(options=options, columns=columns, rows=rows)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for line, value in _objects(source, options.encoding):
        if isinstance(value, dict):
            yield row_of_cells(line, value, options)
        else:
            yield value


def _objects(source: Source, encoding: str) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    for number, (line, whole) in enumerate(lines(source, encoding), start=1):
        if not whole:
            yield number, RowError(line=number, reason="The line is too long.", excerpt=line[:EXCERPT])
        elif line.strip():
            yield number, _object(number, line)


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


FORMAT = Format(
    key="jsonl",
    title="JSON lines",
    modalities=TEXT,
    extensions=(".jsonl", ".ndjson"),
    inspect=inspect,
    read=read,
    tabular=True,
)
