"""Excel workbooks (.xlsx): values as they were last calculated. Macros, links and formulas are never looked at."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

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
from annotator.transfer.formats.delimited import ONLY_HEADER, column_names, has_header, longest
from annotator.transfer.values import plain

if TYPE_CHECKING:
    from openpyxl import Workbook

MAX_ENTRIES = 10_000
MAX_UNPACKED = 2**30
MAX_STRINGS = 128 * 2**20  # the table of shared texts is held in memory
MAX_RATIO = 500
RATIO_FREE_BYTES = 8 * 2**20
MAX_ROWS = 1_048_576  # what the format allows; a file that claims more is not to be trusted
MAX_COLUMNS = 1_000
ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"})
HEAD = 2048


def inspect(source: Source, given: Options | None) -> Layout:
    with _opened(source) as book:
        sheets = [sheet.title for sheet in book.worksheets]
        if not sheets:
            raise FormatError("There is no sheet with cells in the workbook.")
        sheet = given.sheet if given and given.sheet else sheets[0]
        records = [cells for _, cells in islice(_records(book, sheet), PREVIEW_ROWS + 1)]
        if not records:
            if not given:
                # An empty first sheet is common: the person may want another one.
                for other in sheets[1:]:
                    if any(True for _ in islice(_records(book, other), 1)):
                        return inspect(source, Options(sheet=other, text=""))
            raise FormatError(f"There is no row on the sheet “{sheet}”.")
    width = max(map(len, records))
    rows = [[shown(cell) for cell in record] + [""] * (width - len(record)) for record in records]
    guess = given is None or not given.text
    header = has_header(rows) if given is None or guess else given.header
    columns = column_names(rows[0], header=header)
    body = rows[1:] if header else rows[:PREVIEW_ROWS]
    guessed = guess_columns(columns if header else [])
    guessed["text"] = guessed["text"] or columns[longest(body or rows, width)]
    options = given or Options(header=header, sheet=sheet)
    if options.text not in columns:
        options = replace(options, header=header, sheet=sheet, **guessed)
    notes = [] if body else [ONLY_HEADER]
    return Layout(options=options, columns=columns, rows=body, sheets=sheets, notes=notes)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    with _opened(source) as book:
        columns: list[str] | None = None
        sheet = options.sheet or book.worksheets[0].title
        for number, cells in _records(book, sheet):
            if columns is None:
                columns = column_names([shown(cell) for cell in cells], header=options.header)
                if options.text not in columns:
                    raise FormatError(f"There is no column “{options.text}” on the sheet “{sheet}”.")
                if options.header:
                    continue
            yield _row(number, cells, columns, options)
    source.position = source.size


def _row(number: int, cells: list[Any], columns: list[str], options: Options) -> Row | RowError:
    if any(cell is not None for cell in cells[len(columns) :]):
        reason = f"There is a value to the right of the {len(columns)} columns."
        return RowError(line=number, reason=reason, excerpt=" | ".join(map(shown, cells))[:200])
    values = cells[: len(columns)] + [None] * (len(columns) - len(cells))
    named = dict(zip(columns, values, strict=True))
    text = named.get(options.text)
    if text is not None and not isinstance(text, str):
        named[options.text] = shown(text)  # numbers and dates are texts here, as the sheet shows no types
    return row_of_cells(number, named, options)


def _records(book: Workbook, name: str) -> Iterator[tuple[int, list[Any]]]:
    """(row number, its values without empty ones at the end); empty rows are left out."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if name not in sheets:
        raise FormatError(f"There is no sheet “{name}” in the workbook.")
    sheet: Any = sheets[name]
    sheet.reset_dimensions()  # files lie about them
    for number, record in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > MAX_ROWS:
            raise FormatError(f"The sheet claims more than {MAX_ROWS:,} rows.")
        values = [None if cell in ERRORS or cell == "" else plain(cell) for cell in record]
        while values and values[-1] is None:
            values.pop()
        if len(values) > MAX_COLUMNS:
            raise FormatError(f"Row {number:,} has {len(values):,} columns; {MAX_COLUMNS:,} are allowed.")
        if values:
            yield number, values


@contextmanager
def _opened(source: Source) -> Iterator[Workbook]:
    import openpyxl  # large: only where such a file is read
    from openpyxl.utils.exceptions import InvalidFileException

    _check_archive(source)
    try:
        with source.path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                with suppress(AttributeError, OSError):
                    book.close()
    except FormatError:
        raise
    except (
        InvalidFileException, zipfile.BadZipFile, zlib.error, struct.error, ParseError, KeyError, IndexError,
        AttributeError, TypeError, ValueError, OSError, EOFError, OverflowError, NotImplementedError,
        RecursionError,
    ) as error:  # fmt: skip
        raise FormatError(f"The workbook is damaged: {str(error)[:200] or type(error).__name__}.") from error


def _check_archive(source: Source) -> None:
    """Refuse what would unpack to far more than a table, before anything is unpacked."""
    try:
        with zipfile.ZipFile(source.path) as archive:
            entries = archive.infolist()
            total = sum(info.file_size for info in entries)
            if len(entries) > MAX_ENTRIES or total > MAX_UNPACKED:
                raise FormatError(f"The workbook would unpack to {total:,} bytes: save it as CSV.")
            if total > RATIO_FREE_BYTES and total > MAX_RATIO * max(source.size, 1):
                raise FormatError(f"The workbook would unpack to {total:,} bytes: far more than tables do.")
            for info in entries:
                if info.flag_bits & 0x1:
                    raise FormatError("The workbook is encrypted: save it without a password.")
                name = info.filename.lower()
                if name.endswith("sharedstrings.xml") and info.file_size > MAX_STRINGS:
                    raise FormatError("The workbook holds more text than can be read: save it as CSV.")
                if name.endswith((".xml", ".rels")):
                    with archive.open(info) as part:
                        # Entities make a short file endlessly long, and workbooks need none.
                        if b"<!DOCTYPE" in part.read(HEAD).replace(b"\0", b"").upper():
                            raise FormatError("The workbook declares a document type, as no program does.")
    except FormatError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
    ) as error:
        hint = " Old .xls files and protected ones have to be saved as .xlsx first."
        raise FormatError(f"This is no Excel workbook (.xlsx) that can be read.{hint}") from error


FORMAT = Format(
    key="xlsx",
    title="Excel workbook",
    modalities=TEXT,
    extensions=(".xlsx", ".xlsm"),
    inspect=inspect,
    read=read,
    tabular=True,
)
