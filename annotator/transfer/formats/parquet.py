"""Parquet: columns with their types, read a few hundred rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

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
from annotator.transfer.formats.cells import guess_columns, plain, row_of_cells, shown

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BATCH_ROWS = 500
MAX_COLUMNS = 1_000
# What a row group unpacks to, by its own word: beyond this it is no table of texts, or a bomb.
MAX_GROUP_BYTES = 2 * 2**30


def inspect(source: Source, given: Options | None) -> Layout:
    with _opened(source) as file:
        columns = list(file.schema_arrow.names)
        if not file.metadata.num_rows:
            raise FormatError("There is no row in the file.")
        guessed = guess_columns(columns)
        if not guessed["text"]:
            guessed["text"] = next((f.name for f in file.schema_arrow if str(f.type).endswith("string")), "")
        records = [cells for _, cells in islice(_records(source, file, columns), PREVIEW_ROWS)]
        rows = [[shown(cells[name]) for name in columns] for cells in records]
        return Layout(
            options=given or Options(**guessed),
            columns=columns,
            rows=rows,
            entries=file.metadata.num_rows,
        )


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    with _opened(source) as file:
        columns = list(file.schema_arrow.names)
        if options.text not in columns:
            raise FormatError(f"There is no column “{options.text}” in {source.name}.")
        used = {options.text, options.external_id, options.label, options.split, options.group}
        wanted = [name for name in columns if options.keep_rest or name in used]
        for number, cells in _records(source, file, wanted):
            yield row_of_cells(number, cells, options)


def _records(
    source: Source, file: pq.ParquetFile, columns: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    number, total, size = 0, max(file.metadata.num_rows, 1), source.size
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, {name: plain(value) for name, value in zip(columns, values, strict=True)}
        source.position = size * number // total


@contextmanager
def _opened(source: Source) -> Iterator[pq.ParquetFile]:
    """The open file; whatever the library raises on a broken one becomes a FormatError."""
    import pyarrow as pa  # large: only where such a file is read
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path, memory_map=False, pre_buffer=False, buffer_size=2**20) as file:
            names = file.schema_arrow.names
            if len(names) > MAX_COLUMNS:
                raise FormatError(f"The table has {len(names):,} columns; {MAX_COLUMNS:,} are allowed.")
            if twice := [name for name in names if names.count(name) > 1]:
                raise FormatError(f"Two columns are called “{twice[0]}”: give them different names.")
            groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
            if any(group.total_byte_size > MAX_GROUP_BYTES for group in groups):
                raise FormatError("A row group would unpack to more than 2 GiB: write smaller row groups.")
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        text = str(error).partition("\n")[0][:200]
        raise FormatError(f"This is no Parquet file that can be read: {text}") from error


FORMAT = Format(
    key="parquet",
    title="Parquet table",
    modalities=TEXT,
    extensions=(".parquet", ".pq"),
    inspect=inspect,
    read=read,
    tabular=True,
)
