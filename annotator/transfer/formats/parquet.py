"""Parquet: columns with their types, read a hundred rows at a time by a process of their own."""

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
from annotator.transfer.formats.parquet_reader import opened
from annotator.transfer.parquet_child import MAX_LINE

TOO_LONG = f"The row has more than {MAX_LINE:,} characters."


def inspect(source: Source, given: Options | None) -> Layout:
    with opened(source) as table:
        if not table.rows:
            raise FormatError("There is no row in the file.")
        guessed = guess_columns(table.names)
        if not guessed["text"] and table.strings:
            guessed["text"] = table.strings[0]
        first = islice(table.records(table.names), PREVIEW_ROWS)
        rows = [[shown(cell) for cell in values] for _, values in first if values is not None]
        return Layout(
            options=given or Options(**guessed),
            columns=table.names,
            rows=rows,
            entries=table.rows,
        )


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    with opened(source) as table:
        if options.text not in table.names:
            raise FormatError(f"There is no column “{options.text}” in {source.name}.")
        used = {options.text, options.external_id, options.label, options.split, options.group}
        wanted = [name for name in table.names if options.keep_rest or name in used]
        size = source.size
        for number, values in table.records(wanted):
            source.position = min(size, size * number // max(table.rows, 1))
            if values is None:
                yield RowError(line=number, reason=TOO_LONG)
            else:
                yield row_of_cells(number, dict(zip(wanted, values, strict=True)), options)


FORMAT = Format(
    key="parquet",
    title="Parquet table",
    modalities=TEXT,
    extensions=(".parquet", ".pq"),
    inspect=inspect,
    read=read,
    tabular=True,
)
