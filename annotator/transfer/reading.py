"""Reading an import's files: checked rows in batches. The import and its dry run read the same way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from annotator.items.services import NewItem
from annotator.transfer.fetching import with_bytes
from annotator.transfer.formats import FORMATS, Format, FormatError, Options, Row, RowError, Source
from annotator.transfer.models import Import
from annotator.transfer.rows import RowRefused, to_item
from annotator.transfer.sources import kind_of_source

BATCH_ROWS = 5_000
BATCH_BYTES = 32 * 2**20


@dataclass
class Batch:
    """Rows read together; `position` bytes of all files were read when it was full."""

    items: list[NewItem] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    errors: list[tuple[str, int, str, str]] = field(default_factory=list)
    predictions: list[tuple[NewItem, dict[str, dict[str, float]]]] = field(default_factory=list)
    size: int = 0
    position: int = 0

    @property
    def rows(self) -> int:
        return len(self.items) + len(self.errors)

    @property
    def full(self) -> bool:
        return self.rows >= BATCH_ROWS or self.size >= BATCH_BYTES


def batches(record: Import, *, skip: int = 0, pictures: bool = True) -> Iterator[Batch]:
    """Checked rows in batches, without the first `skip`, which an earlier run stored.

    `pictures`: for the import itself: thumbnails of images are made and kept on the way.
    """
    batch, before = Batch(), 0
    kind, options = FORMATS[record.format], Options.from_json(record.options)
    of_source = kind_of_source(record)
    # A check leaves nothing behind; the import has to find its place again.
    for source in of_source.listed(record, not skip) if pictures else of_source.files(record):
        rows = _rows(kind, source, options)
        while skip and next(rows, None) is not None:
            skip -= 1
        for row in with_bytes(rows):
            _add(batch, source, row, record.project_id, pictures=pictures)
            if batch.full:
                batch.position = before + source.position
                yield batch
                batch = Batch()
        before += 0 if source.refused else source.size
    if batch.rows:
        batch.position = before
        yield batch


def ahead(coming: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; each is read and checked while the one before it is being stored."""
    with ThreadPoolExecutor(1, "import-reader") as reader:
        next_one = reader.submit(next, coming, None)
        while (batch := next_one.result()) is not None:
            next_one = reader.submit(next, coming, None)
            yield batch


def _rows(kind: Format, source: Source, options: Options) -> Iterator[Row | RowError]:
    """A file's rows; what makes all of it unreadable is its one error."""
    if source.refused:
        yield RowError(line=0, reason=source.refused)
        return
    try:
        yield from kind.read(source, options)
    except FormatError as error:
        yield RowError(line=0, reason=str(error))
    except FileNotFoundError:
        yield RowError(line=0, reason="The file is no longer there.")
    except PermissionError:
        yield RowError(line=0, reason="The server may not read this file.")


def _add(batch: Batch, source: Source, row: Row | RowError, project_id: int, *, pictures: bool) -> None:
    if isinstance(row, RowError):
        batch.errors.append((source.name, row.line, row.reason, row.excerpt))
        return
    try:
        item = to_item(row, project_id, pictures=pictures)
    except RowRefused as error:
        shown = (row.text if row.payload is None else row.external_id) or ""
        batch.errors.append((source.name, row.line, str(error), shown[:200]))
        return
    batch.items.append(item)
    batch.places.append((source.name, row.line))
    batch.written.append(row.written)
    if row.predictions:
        batch.predictions.append((item, row.predictions))
    batch.size += len(row.payload or row.text or "")
