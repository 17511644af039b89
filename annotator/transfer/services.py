"""Imports: files are received, looked into, then read by a job, batch by batch."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.items.matching import Match, OnConflict, Outcome
from annotator.items.services import place_items
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, start_job
from annotator.learning.services import on_items_added
from annotator.projects.models import Project
from annotator.transfer.counts import Counts, ErrorFile
from annotator.transfer.disk import full_disk_in_words, nothing_half_written
from annotator.transfer.formats import (
    FORMATS,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
    format_of,
    pictures,
    recognised,
)
from annotator.transfer.formats.cells import missing_columns
from annotator.transfer.models import Import
from annotator.transfer.predictions import store_predictions
from annotator.transfer.reading import Batch, ahead, batches
from annotator.transfer.restore import can_restore, restore
from annotator.transfer.rows import RowRefused, known_labels, to_item
from annotator.transfer.sources import Folder, format_in, kind_of_source

KIND = "import"
KEPT = timedelta(days=1)  # for so long files wait for their mapping, or for another try
TAKEN_BEFORE = "A row before this one has the same id and other content: this one was left out."
TAKEN = "This id is taken by an item with other content, which was left as it is."


def receive_files(*, project: Project, user: User | None, files: Sequence[UploadedFile[bytes]]) -> Import:
    """Keep uploaded files for an import of this project; Invalid when they do not fit together."""
    check_open(project)
    names = [base_name(each.name or "") for each in files]
    try:
        kind = format_of(names, project.modality)
    except FormatError as error:
        raise Invalid(str(error), code="wrong_format") from error
    remove_old_files()
    record = Import.objects.create(project=project, format=kind.key, created_by=user)
    with kept_or_forgotten(record):
        for n, (name, upload) in enumerate(zip(names, files, strict=True)):
            path = record.folder / f"file{n:05}"
            with path.open("wb") as file:
                for chunk in upload.chunks():
                    file.write(chunk)
            record.files.append({"name": name, "stored": path.name, "size": path.stat().st_size})
        recognise(record)
        record.save(update_fields=["files", "format"])
    return record


@contextmanager
def kept_or_forgotten(record: Import) -> Iterator[None]:
    """Make the import's folder; when the block fails, the import and its files are gone, DiskFull where that is why."""
    number, folder = record.pk, record.folder
    try:
        with nothing_half_written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield
    except BaseException:
        # Within a transaction that is lost already, the row goes with it.
        with suppress(DatabaseError):
            Import.objects.filter(pk=number).delete()
        raise


def recognise(record: Import) -> None:
    """The format by what is in the files, for several formats share an ending; Invalid, and they are gone, where none fits."""
    try:
        sources = list(kind_of_source(record).files(record))
        record.format = recognised(sources, record.project.modality).key
    except FormatError as error:
        forget(record)
        raise Invalid(str(error), code="wrong_format") from error


def use_folder(*, project: Project, user: User | None, folder: Folder) -> Import:
    """An import that reads the files of a server's folder in place; Invalid when there is none that fits."""
    check_open(project)
    kind, count, size = format_in(folder, project.modality)
    location = {
        "root": folder.root,
        "inside": folder.inside,
        "title": folder.title,
        "count": count,
        "bytes": size,
    }
    record = Import.objects.create(
        project=project, format=kind.key, created_by=user, source="server", location=location
    )
    look(record)
    return record


def look(record: Import, options: Options | None = None) -> Layout:
    """What the first file holds, as `options` understand it (guessed when None); Invalid when it cannot be read."""
    kind = kind_of_source(record)
    if not kind.available(record):
        raise Conflict(
            "The files are no longer there.", code="files_gone", hint="Upload or choose them again."
        )
    first = next((source for source in kind.files(record) if not source.refused), None)
    if first is None:
        raise Invalid("There is no file that can be read.", code="unreadable_file")
    try:
        layout = FORMATS[record.format].inspect(first, options)
    except FormatError as error:
        raise Invalid(f"{first.name}: {error}", code="unreadable_file") from error
    if record.format == pictures.FORMAT.key:
        names = (source.name for source in kind.files(record) if not source.refused)
        return pictures.together(layout, names, guess=options is None)
    return _printable(layout, first.name)


def _printable(layout: Layout, name: str) -> Layout:
    """The layout as pages can show it; Invalid where a column's own name is not in the encoding."""
    if any(_undecoded(column) for column in layout.columns):
        raise Invalid(
            f"{name}: a column's name contains bytes that are not in this encoding.",
            code="unreadable_file",
            hint="Choose another encoding.",
        )
    rows = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in layout.rows]
    return replace(layout, rows=rows)


def _undecoded(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def start_import(*, record: Import, options: Options, user: User | None) -> Job:
    """Read the files in the background; a finished attempt may be followed by another."""
    check_open(record.project)
    refuse_started(record)
    check_options(record, options)
    with transaction.atomic():
        locked = Import.objects.select_for_update(of=["self"]).select_related("job").get(pk=record.pk)
        refuse_started(locked)
        params = {"import": record.pk, "title": f"Import of {record.title}"}
        job = start_job(kind=KIND, project_id=record.project_id, created_by=user, params=params)
        # A restore that ended halfway goes on: what is in already keeps the project from beginning another.
        counts = {"restored": True} if locked.counts.get("restored") else {}
        record.job, record.options, record.counts = job, options.to_json(), counts
        record.save(update_fields=["job", "options", "counts"])
    return job


def check_options(record: Import, options: Options) -> None:
    """Invalid when the files cannot be read this way."""
    layout = look(record, options)
    if options.conflict not in set(OnConflict):
        raise Invalid("A conflict is solved by “keep” or “new”.", code="no_such_policy")
    if FORMATS[record.format].tabular:
        if not options.text:
            raise Invalid("Choose the column that holds the texts.", code="no_text_column")
        if missing := missing_columns(layout, options):
            raise Invalid(f"There is no column “{missing[0]}”.", code="no_such_column")


def refuse_started(record: Import) -> None:
    """Conflict when the import runs or has been done."""
    if record.job and (record.job.active or record.job.state == Job.State.SUCCEEDED):
        raise Conflict("This import was started already.", code="import_started")


def run_import(*, import_id: int, run: JobRun) -> dict[str, Any]:
    """Read all files, from the batch after the last one stored; returns the counts."""
    record = Import.objects.select_related("project").get(pk=import_id)
    counts = Counts.from_json(record.counts)
    sources = kind_of_source(record)
    if restores(record):
        return _restore(record, next(sources.files(record)), counts, run)
    total = sources.total(record)
    known = known_labels(record.project.schema)
    run.progress(counts.rows, stage="Reading")
    try:
        with full_disk_in_words(), ErrorFile(record.errors_path, counts.error_bytes) as errors:
            for batch in ahead(batches(record, skip=counts.rows)):
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


def restores(record: Import) -> bool:
    """Whether the import brings a whole project back: a native export, into one without items or behind its first part."""
    return FORMATS[record.format].restores and (
        bool(record.counts.get("restored")) or can_restore(record.project)
    )


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
    check_open(project)
    counts, errors, items, places = Counts(rows=len(rows)), [], [], []
    known = known_labels(project.schema)
    for row in rows:
        try:
            items.append(to_item(row, project.pk))
        except RowRefused as error:
            errors.append(RowError(line=row.line, reason=str(error)))
            continue
        places.append(row.line)
    counts.rejected = len(errors)
    matches = place_items(project_id=project.pk, items=items, source=source)
    for line, item, match in zip(places, items, matches, strict=True):
        counts.add(item, match, known)
        if match.conflict:
            errors.append(RowError(line=line, reason=TAKEN))
    if counts.created:
        on_items_added(project_id=project.pk)
    return counts, sorted(errors, key=lambda error: error.line)


def remove_files(record: Import) -> None:
    """Delete what was copied for the import; what was wrong with it stays."""
    kind_of_source(record).discard(record)
    for picture in record.folder.glob("preview-*.webp"):
        picture.unlink(missing_ok=True)


def conflict_words(match: Match) -> str:
    """What became of a row whose id has other content."""
    if match.outcome is Outcome.CHANGED:
        return TAKEN if match.item_id is not None else TAKEN_BEFORE
    return f"This id is taken by other content: the row is “{match.name}” here."


def forget(record: Import) -> None:
    """Delete an import that was never started, with its files."""
    shutil.rmtree(record.folder, ignore_errors=True)
    record.delete()


def remove_old_files() -> None:
    """Delete uploads that nobody mapped, or whose import ended otherwise, after a day."""
    before = timezone.now() - KEPT
    waiting = Import.objects.filter(job=None, created_at__lt=before)
    for record in waiting.exclude(dry_job__state__in=[Job.State.QUEUED, Job.State.RUNNING])[:1000]:
        forget(record)
    ended = Import.objects.filter(Q(job__state=Job.State.FAILED) | Q(job__state=Job.State.CANCELLED))
    for record in ended.filter(job__finished_at__range=(before - 7 * KEPT, before)):
        remove_files(record)


def _store(record: Import, batch: Batch, counts: Counts, errors: ErrorFile, known: frozenset[str]) -> None:
    """One batch with its counts, in one transaction: after a crash, both are there or neither."""
    policy = Options.from_json(record.options).conflict
    with transaction.atomic():
        matches = place_items(
            project_id=record.project_id, items=batch.items, source=record.title, on_conflict=policy
        )
        counts.rows += batch.rows
        counts.rejected += len(batch.errors)
        came = {id(item): match for item, match in zip(batch.items, matches, strict=True)}
        store_predictions(
            record.project_id, [(item, came[id(item)], told) for item, told in batch.predictions]
        )
        bad = list(batch.errors)
        for item, (name, line), match in zip(batch.items, batch.places, matches, strict=True):
            counts.add(item, match, known)
            if match.conflict:
                bad.append((name, line, conflict_words(match), item.external_id))
        counts.listed += len(bad)
        counts.error_bytes = errors.write(sorted(bad, key=lambda row: row[:2]))
        Import.objects.filter(pk=record.pk).update(counts=counts.to_json())


def base_name(name: str) -> str:
    """The last part of an uploaded file's name, printable and in normal form."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c for c in unicodedata.normalize("NFC", last) if c.isprintable())[:200] or "file"


def check_open(project: Project) -> None:
    if project.archived_at:
        raise Conflict("This project is archived.", code="archived", hint="Restore it before importing.")
