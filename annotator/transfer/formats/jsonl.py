"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from annotator.transfer.formats.base import (
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
from annotator.transfer.formats.characters import detect_encoding
from annotator.transfer.formats.parts import json_objects


def inspect(source: Source, given: Options | None) -> Layout:
    encoding = given.encoding if given else detect_encoding(source)
    objects = [o for _, o in islice(json_objects(source, encoding), PREVIEW_ROWS) if isinstance(o, dict)]
    if not objects:
        raise FormatError('No line is a JSON object such as {"text": "…"}.')
    columns = list(dict.fromkeys(name for each in objects for name in each))
    rows = [[shown(each.get(name)) for name in columns] for each in objects]
    options = given or Options(encoding=encoding, **guess_columns(columns))
    return Layout(options=options, columns=columns, rows=rows)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for line, value in json_objects(source, options.encoding):
        if isinstance(value, dict):
            yield row_of_cells(line, value, options)
        else:
            yield value


FORMAT = Format(
    key="jsonl",
    title="JSON lines",
    modalities=TEXT,
    extensions=(".jsonl", ".ndjson"),
    inspect=inspect,
    read=read,
    asks=frozenset({"encoding"}),
    tabular=True,
)
