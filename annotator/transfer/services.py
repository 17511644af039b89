"""Imports: files are received, looked into, then read by a job, batch by batch."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.items.services import NewItem, Outcome, add_items
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, start_job
from annotator.learning.services import on_items_added
from annotator.projects.models import Project
from annotator.transfer.counts import Counts, ErrorFile
from annotator.transfer.formats import (
    FORMATS,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
    format_of,
    recognised,
)
from annotator.transfer.formats.cells import missing_columns
from annotator.transfer.models import Import
from annotator.transfer.predictions import store_predictions
from annotator.transfer.restore import can_restore, restore
from annotator.transfer.rows import RowRefused, known_labels, to_item

KIND = "import"
BATCH_ROWS = 5_000
BATCH_BYTES = 32 * 2**20
KEPT = timedelta(days=1)  # for so long files wait for their mapping, or for another try
TAKEN = "This id is taken by an item with other content, which was left as it is."


@dataclass
class Batch:
    """Rows read together; `position` bytes of all files were read when it was full."""

    items: list[NewItem] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
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


def receive_files(*, project: Project, user: User | None, files: Sequence[UploadedFile[bytes]]) -> Import:
    """Keep uploaded files for an import of this project; Invalid when they do not fit together."""
    _check_open(project)
    names = [_base_name(each.name or "") for each in files]
    try:
        kind = format_of(names, project.modality)
    except FormatError as error:
        raise Invalid(str(error), code="wrong_format") from error
    remove_old_files()
    record = Import.objects.create(project=project, format=kind.key, created_by=user)
    record.folder.mkdir(parents=True, exist_ok=True)
    for n, (name, upload) in enumerate(zip(names, files, strict=True)):
        stored = f"file{n:05}"
        with (record.folder / stored).open("wb") as file:
            for chunk in upload.chunks():
                file.write(chunk)
        record.files.append({"name": name, "stored": stored, "size": (record.folder / stored).stat().st_size})
    try:
        # Several formats share an ending: what is in the files decides.
        record.format = recognised(_sources(record), project.modality).key
    except FormatError as error:
        shutil.rmtree(record.folder, ignore_errors=True)
        record.delete()
        raise Invalid(str(error), code="wrong_format") from error
    record.save(update_fields=["files", "format"])
    return record


def look(record: Import, options: Options | None = None) -> Layout:
    """What the first file holds, as `options` understand it (guessed when None); Invalid when it cannot be read."""
    if not record.has_files:
        raise Conflict(
            "The uploaded files are no longer there.", code="files_gone", hint="Upload them again."
        )
    try:
        return FORMATS[record.format].inspect(_sources(record)[0], options)
    except FormatError as error:
        raise Invalid(f"{record.files[0]['name']}: {error}", code="unreadable_file") from error


def start_import(*, record: Import, options: Options, user: User | None) -> Job:
    """Read the files in the background; a finished attempt may be followed by another."""
    _check_open(record.project)
    layout = look(record, options)
    if FORMATS[record.format].tabular:
        if not options.text:
            raise Invalid("Choose the column that holds the texts.", code="no_text_column")
        if missing := missing_columns(layout, options):
            raise Invalid(f"There is no column “{missing[0]}”.", code="no_such_column")
    with transaction.atomic():
        locked = Import.objects.select_for_update(of=["self"]).select_related("job").get(pk=record.pk)
        if locked.job and (locked.job.active or locked.job.state == Job.State.SUCCEEDED):
            raise Conflict("This import was started already.", code="import_started")
        params = {"import": record.pk, "title": f"Import of {record.title}"}
        job = start_job(kind=KIND, project_id=record.project_id, created_by=user, params=params)
        record.job, record.options, record.counts = job, options.to_json(), {}
        record.save(update_fields=["job", "options", "counts"])
    return job


def run_import(*, import_id: int, run: JobRun) -> dict[str, Any]:
    """Read all files, from the batch after the last one stored; returns the counts."""
    record = Import.objects.select_related("project").get(pk=import_id)
    counts = Counts.from_json(record.counts)
    sources = _sources(record)
    if record.format == "native" and (counts.restored or can_restore(record.project)):
        return _restore(record, sources[0], counts, run)
    total = sum(source.size for source in sources)
    known = known_labels(record.project.schema)
    run.progress(counts.rows, stage="Reading")
    try:
        with ErrorFile(record.errors_path, counts.error_bytes) as errors:
            for batch in _ahead(_batches(record, sources, skip=counts.rows)):
                _store(record, batch, counts, errors, known)
                # The number of rows is only known at the end; bytes tell how far the reading is.
                estimate = round(counts.rows * total / max(batch.position, 1))
                run.progress(
                    counts.rows, max(estimate, counts.rows + 1), stage="Importing", message=counts.summary()
                )
        run.progress(counts.rows, counts.rows, stage="Imported", message=counts.summary())
    finally:
        if counts.created:
            on_items_added(project_id=record.project_id)
    remove_files(record)
    return counts.to_json()


def _restore(record: Import, source: Source, counts: Counts, run: JobRun) -> dict[str, Any]:
    """A native export into a project without items: all of it, not its items alone."""
    resumed, counts.restored = counts.restored, True
    Import.objects.filter(pk=record.pk).update(counts=counts.to_json())
    run.progress(0, stage="Restoring")
    for done in restore(project=record.project, source=source, resumed=resumed):
        counts.rows = counts.created = done.items
        Import.objects.filter(pk=record.pk).update(counts=counts.to_json())
        run.progress(done.items, stage="Restoring", message=counts.summary())
    run.progress(counts.rows, counts.rows, stage="Restored", message=counts.summary())
    on_items_added(project_id=record.project_id)
    remove_files(record)
    return counts.to_json()


def add_rows(*, project: Project, rows: Sequence[Row], source: str) -> tuple[Counts, list[RowError]]:
    """Add a few text rows at once, good ones only; the errors name their places by `line`."""
    _check_open(project)
    counts, errors, items, places = Counts(rows=len(rows)), [], [], []
    known = known_labels(project.schema)
    for row in rows:
        try:
            item = to_item(row, project.pk)
        except RowRefused as error:
            errors.append(RowError(line=row.line, reason=str(error)))
            continue
        items.append(item)
        places.append(row.line)
        if item.classes:
            counts.add_labels(item.classes, known)
    counts.rejected = len(errors)
    outcomes = add_items(project_id=project.pk, items=items, source=source)
    counts.add(outcomes)
    for line, outcome in zip(places, outcomes, strict=True):
        if outcome is Outcome.CHANGED:
            errors.append(RowError(line=line, reason=TAKEN))
    if counts.created:
        on_items_added(project_id=project.pk)
    return counts, sorted(errors, key=lambda error: error.line)


def remove_files(record: Import) -> None:
    """Delete the uploaded files; what was wrong with them stays."""
    for each in record.files:
        (record.folder / each["stored"]).unlink(missing_ok=True)


def remove_old_files() -> None:
    """Delete uploads that nobody mapped, or whose import ended otherwise, after a day."""
    before = timezone.now() - KEPT
    for record in Import.objects.filter(job=None, created_at__lt=before)[:1000]:
        shutil.rmtree(record.folder, ignore_errors=True)
        record.delete()
    ended = Import.objects.filter(Q(job__state=Job.State.FAILED) | Q(job__state=Job.State.CANCELLED))
    for record in ended.filter(job__finished_at__range=(before - 7 * KEPT, before)):
        remove_files(record)


def _store(record: Import, batch: Batch, counts: Counts, errors: ErrorFile, known: frozenset[str]) -> None:
    """One batch with its counts, in one transaction: after a crash, both are there or neither."""
    with transaction.atomic():
        outcomes = add_items(project_id=record.project_id, items=batch.items, source=record.title)
        counts.rows += batch.rows
        counts.rejected += len(batch.errors)
        counts.add(outcomes)
        store_predictions(record.project_id, batch.predictions)
        bad = list(batch.errors)
        for item, (name, line), outcome in zip(batch.items, batch.places, outcomes, strict=True):
            if outcome is Outcome.CHANGED:
                bad.append((name, line, TAKEN, item.external_id))
            elif item.classes:
                counts.add_labels(item.classes, known)
        counts.error_bytes = errors.write(sorted(bad, key=lambda row: row[:2]))
        Import.objects.filter(pk=record.pk).update(counts=counts.to_json())


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; each is read and checked while the one before it is being stored."""
    with ThreadPoolExecutor(1, "import-reader") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def _batches(record: Import, sources: list[Source], *, skip: int) -> Iterator[Batch]:
    """Checked rows in batches, without the first `skip`, which an earlier run stored."""
    batch, before = Batch(), 0
    kind, options = FORMATS[record.format], Options.from_json(record.options)
    for source in sources:
        for row in _rows(kind, source, options):
            if skip:
                skip -= 1
                continue
            _add(batch, source, row, record.project_id)
            if batch.full:
                batch.position = before + source.position
                yield batch
                batch = Batch()
        before += source.size
    if batch.rows:
        batch.position = before
        yield batch


def _rows(kind: Format, source: Source, options: Options) -> Iterator[Row | RowError]:
    """A file's rows; what makes all of it unreadable is its one error."""
    try:
        yield from kind.read(source, options)
    except FormatError as error:
        yield RowError(line=0, reason=str(error))


def _add(batch: Batch, source: Source, row: Row | RowError, project_id: int) -> None:
    if isinstance(row, RowError):
        batch.errors.append((source.name, row.line, row.reason, row.excerpt))
        return
    try:
        item = to_item(row, project_id)
    except RowRefused as error:
        shown = (row.text if row.payload is None else row.external_id) or ""
        batch.errors.append((source.name, row.line, str(error), shown[:200]))
        return
    batch.items.append(item)
    if row.predictions:
        batch.predictions.append((item, row.predictions))
    batch.places.append((source.name, row.line))
    batch.size += len(row.payload or row.text or "")


def _sources(record: Import) -> list[Source]:
    return [Source(record.folder / each["stored"], each["name"]) for each in record.files]


def _base_name(name: str) -> str:
    """The last part of an uploaded file's name, printable and in normal form."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c for c in unicodedata.normalize("NFC", last) if c.isprintable())[:200] or "file"


def _check_open(project: Project) -> None:
    if project.archived_at:
        raise Conflict("This project is archived.", code="archived", hint="Restore it before importing.")
