"""CSV and TSV: any of the usual delimiters, quoted fields with line breaks, ragged rows reported one by one."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from annotator.modalities.text import MAX_BYTES
from annotator.transfer.formats import csv_export
from annotator.transfer.formats.base import (
    EXCERPT,
    IMAGE,
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
from annotator.transfer.formats.cells import guess_columns, row_of_cells
from annotator.transfer.formats.characters import ENCODINGS, detect_encoding, lines

DELIMITERS = {",": "Comma", "\t": "Tab", ";": "Semicolon", "|": "Bar"}
SAMPLE_RECORDS = 50
ONLY_HEADER = "There is a line that names the columns, and no row below it."
# csv keeps one limit for the process; a larger one would only cost memory.
csv.field_size_limit(2 * MAX_BYTES)
# Nobody knows where such a field was meant to end: what follows would be read wrongly.
UNCLOSED = "A quotation mark opened here is never closed; the file was read up to this line."


def inspect(source: Source, given: Options | None) -> Layout:
    encoding = given.encoding if given else detect_encoding(source)
    delimiter = given.delimiter if given else _detect_delimiter(source, encoding)
    records = list(islice(_records(source, encoding, delimiter), PREVIEW_ROWS + 1))
    rows = [record for _, record in records if isinstance(record, list)]
    if not rows:
        raise FormatError("There is no row that can be read.")
    header = given.header if given else has_header(rows)
    columns = column_names(rows[0], header=header)
    shown = rows[1:] if header else rows[:PREVIEW_ROWS]
    notes = []
    if encoding != "utf-8":
        name = ENCODINGS.get(encoding, encoding)
        notes.append(f"The file is read as {name}. If letters look wrong below, choose another encoding.")
    if not shown:
        notes.append(ONLY_HEADER)
    ragged = sum(len(row) != len(columns) for row in shown)
    if ragged:
        notes.append(
            f"{ragged} of these {len(shown)} rows have another number of fields than the first line. "
            "Is this the right delimiter?"
        )
    guessed = guess_columns(columns if header else [])
    guessed["text"] = guessed["text"] or columns[longest(shown or rows, len(columns))]
    options = given or Options(encoding=encoding, delimiter=delimiter, header=header, **guessed)
    if options.text not in columns:
        # Read in another way, the table has other columns.
        options = replace(options, **guessed)
    shown = [(row + [""] * len(columns))[: len(columns)] for row in shown]
    return Layout(options=options, columns=columns, rows=shown, notes=notes)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    columns: list[str] | None = None
    for line, record in _records(source, options.encoding, options.delimiter):
        if isinstance(record, str):
            yield RowError(line=line, reason=record)
        elif columns is None:
            columns = column_names(record, header=options.header)
            if options.text not in columns:
                raise FormatError(f"There is no column “{options.text}” in {source.name}.")
            if not options.header:
                yield _row(line, record, columns, options)
        else:
            yield _row(line, record, columns, options)


def _row(line: int, record: list[str], columns: list[str], options: Options) -> Row | RowError:
    if len(record) != len(columns):
        reason = f"{len(record)} fields instead of {len(columns)}: a delimiter or a quotation mark is missing or too many."
        return RowError(line=line, reason=reason, excerpt=" | ".join(record)[:EXCERPT])
    return row_of_cells(line, dict(zip(columns, record, strict=True)), options)


def _records(source: Source, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """(line where it starts, its fields or why it cannot be read), blank lines left out."""
    cut: set[int] = set()
    ended = False

    def numbered() -> Iterator[str]:
        nonlocal ended
        for number, (line, whole) in enumerate(lines(source, encoding), start=1):
            if not whole:
                cut.add(number)
            yield line
        ended = True

    reader = csv.reader(numbered(), delimiter=delimiter)
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if reader.line_num > first:
                yield first, UNCLOSED
                return
            yield first, f"A field is longer than {2 * MAX_BYTES:,} characters."
            continue
        if ended:
            # The reader asked for more and there was none: it was still inside quotes.
            yield first, UNCLOSED
        elif cut and cut.intersection(range(first, reader.line_num + 1)):
            yield first, "The line is too long."
        elif any(field.strip() for field in record):
            yield first, record


def _detect_delimiter(source: Source, encoding: str) -> str:
    """The delimiter that gives most records the same number of fields, and most fields."""

    def score(delimiter: str) -> tuple[float, int]:
        records = [r for _, r in islice(_records(source, encoding, delimiter), SAMPLE_RECORDS)]
        counts = Counter(len(record) for record in records if isinstance(record, list))
        if not counts:
            return 0.0, 0
        fields, times = counts.most_common(1)[0]
        return (times / len(records) if fields > 1 else 0.0), fields

    best = max(DELIMITERS, key=score)
    return (
        best if score(best)[0] >= 0.5 else ("\t" if source.name.lower().endswith((".tsv", ".tab")) else ",")
    )


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names columns: short, distinct, not numbers; or known names."""
    first = [cell.strip() for cell in rows[0]]
    if any(guess_columns([cell])["text"] and cell.lower() == "text" for cell in first):
        return True
    if not all(first) or len(set(first)) < len(first) or any(len(cell) > 60 for cell in first):
        return False
    if any(cell.replace(".", "", 1).replace("-", "", 1).isdigit() for cell in first):
        return False
    known = guess_columns(first) if len(first) > 1 else {"text": ""}
    longer = len(rows) > 1 and sum(map(len, rows[1])) > 2 * sum(map(len, first))
    return any(known.values()) or longer


def column_names(record: list[str], *, header: bool) -> list[str]:
    """Distinct, non-empty names for the columns."""
    names: list[str] = []
    for n, cell in enumerate(record, start=1):
        name = (cell.strip() if header else "") or f"column {n}"
        while name in names:
            name += f" ({n})"
        names.append(name)
    return names


def longest(rows: list[list[str]], width: int) -> int:
    """Index of the column with most letters: the texts, most likely."""
    return max(range(width), key=lambda n: sum(len(row[n]) for row in rows if n < len(row)))


ASKS = frozenset({"encoding", "delimiter", "header"})
CSV = Format(
    key="csv",
    title="CSV table",
    modalities=TEXT,
    extensions=(".csv",),
    inspect=inspect,
    read=read,
    tabular=True,
    asks=ASKS,
    write=csv_export.write,
    holds=csv_export.HOLDS,
    plain=csv_export.NAME,
    written_for=IMAGE,
    about="One row an item with the agreed class by name, agreement and number of answers.",
)
TSV = Format(
    key="tsv",
    title="TSV table",
    modalities=TEXT,
    extensions=(".tsv", ".tab"),
    inspect=inspect,
    read=read,
    tabular=True,
    asks=ASKS,
)
