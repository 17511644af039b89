"""The dry run: everything is read and checked as the import would, nothing is added; what would happen is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from annotator.accounts.models import User
from annotator.items import files
from annotator.items.checking import Checker, Finding
from annotator.items.files import write_atomically
from annotator.items.matching import NewItem, Outcome
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, cancel_job, start_job
from annotator.modalities import ModalityError
from annotator.projects.models import Project
from annotator.transfer import services
from annotator.transfer.counts import Counts, ErrorFile
from annotator.transfer.formats import Options
from annotator.transfer.models import Import
from annotator.transfer.reading import Batch, ahead, batches
from annotator.transfer.records import ExportItem
from annotator.transfer.restore import check_restore
from annotator.transfer.restored_records import RestoreFailed
from annotator.transfer.rows import known_labels
from annotator.transfer.sources import kind_of_source

KIND = "dry_run"
PREVIEW_ITEMS = 10
PREVIEW_CHARACTERS = 600
# What is checked within the request that asks for it: it takes less than half a second.
AT_ONCE_ROWS = 2_000
AT_ONCE_BYTES = 2**20
AT_ONCE_UNPACKED = 16 * 2**20  # characters; packed tables may hold many times their own size


class TooMany(Exception):
    """The files hold more rows than are checked within a request."""


def begin(*, record: Import, options: Options, user: User | None) -> Job | None:
    """Check the files as `options` understand them: small tables at once (None), others by the job returned."""
    services.check_open(record.project)
    services.refuse_started(record)
    services.check_options(record, options)
    _end_last(record)
    record.options, record.report = options.to_json(), {}
    record.save(update_fields=["options", "report"])
    if _is_small(record):
        try:
            _check(record, None)
        except TooMany:
            pass
        else:
            return None
    return _start(record, user)


def start(*, record: Import, options: Options, user: User | None) -> Job:
    """Check the files by a job, however small they are."""
    services.check_open(record.project)
    services.refuse_started(record)
    services.check_options(record, options)
    _end_last(record)
    record.options, record.report = options.to_json(), {}
    record.save(update_fields=["options", "report"])
    return _start(record, user)


def run_dry_run(*, import_id: int, run: JobRun) -> dict[str, Any]:
    """Do the check; from the start each time, for it leaves nothing behind."""
    record = Import.objects.select_related("project").get(pk=import_id)
    report = _check(record, run)
    return {name: value for name, value in report.items() if isinstance(value, int)}


def _start(record: Import, user: User | None) -> Job:
    with transaction.atomic():
        params = {"import": record.pk, "title": f"Check of {record.title}"}
        job = start_job(kind=KIND, project_id=record.project_id, created_by=user, params=params)
        record.dry_job = job
        record.save(update_fields=["dry_job"])
    return job


def _end_last(record: Import) -> None:
    """A check that is still running is of another mapping: nobody waits for it any more."""
    job = record.dry_job
    if job and job.active:
        cancel_job(job=job)
    if job:
        record.dry_job = None
        record.save(update_fields=["dry_job"])


def _is_small(record: Import) -> bool:
    tabular = record.project.modality == Project.Modality.TEXT
    return tabular and kind_of_source(record).total(record) <= AT_ONCE_BYTES


def _check(record: Import, run: JobRun | None) -> dict[str, Any]:
    """Read everything; the report is kept with the import."""
    counts, preview = Counts(), list[dict[str, Any]]()
    known = known_labels(record.project.schema)
    total = kind_of_source(record).total(record)
    if services.restores(record):
        _check_restore(record, counts, preview, run)
        return _keep(record, counts, preview, run)
    with _checker(record) as checker, ErrorFile(record.check_path, 0) as errors:
        coming = batches(record, pictures=False)
        for batch in ahead(coming) if run else coming:
            if run is None and batch.size >= AT_ONCE_UNPACKED:
                raise TooMany
            findings = checker.check(batch.items)
            _count(batch, findings, counts, errors, known)
            for n in range(min(len(batch.items), PREVIEW_ITEMS - len(preview))):
                preview.append(_preview(record, batch, n, findings[n], len(preview)))
            if run is None:
                if counts.rows > AT_ONCE_ROWS:
                    raise TooMany
            else:
                estimate = round(counts.rows * total / max(batch.position, 1))
                run.progress(
                    counts.rows, max(estimate, counts.rows + 1), stage="Checking", message=counts.summary()
                )
    return _keep(record, counts, preview, run)


def _check_restore(record: Import, counts: Counts, preview: list[dict[str, Any]], run: JobRun | None) -> None:
    """Counts and preview of a native export that would come back as a whole; what keeps it out is its one error row."""
    source = next(kind_of_source(record).files(record))
    counts.restored = True
    line = 1
    with ErrorFile(record.check_path, 0) as errors:
        try:
            for line, item in check_restore(project=record.project, source=source):
                counts.rows = counts.created = counts.rows + 1
                counts.splits[item.split] = counts.splits.get(item.split, 0) + 1
                counts.labelled += item.imported_label is not None
                if len(preview) < PREVIEW_ITEMS:
                    preview.append(_restored_preview(source.name, line, item))
                if run is not None:
                    run.progress(counts.rows, stage="Checking", message=counts.summary())
                elif counts.rows > AT_ONCE_ROWS:
                    raise TooMany
        except RestoreFailed as error:
            # The restore would end there: the project would not be what was exported.
            counts.rows = counts.rejected = counts.rows + 1
            counts.created, counts.labelled, counts.listed, counts.splits = 0, 0, 1, {}
            preview.clear()
            counts.error_bytes = errors.write(
                [(source.name, line + 1 if line > 1 else 1, error.message, error.hint)]
            )


def _restored_preview(file: str, line: int, item: ExportItem) -> dict[str, Any]:
    """One of the first items as it was there."""
    shown: dict[str, Any] = {
        "file": file,
        "line": line,
        "external_id": item.external_id,
        "outcome": str(Outcome.CREATED),
        "text": _shortened(item.text or ""),
        "split": item.split,
        "labels": item.consensus or [],
        "meta": item.meta,
    }
    if item.asset is not None:
        shown |= {"width": item.asset.get("width"), "height": item.asset.get("height"), "picture": None}
    return shown


def _shortened(text: str) -> str:
    return text[:PREVIEW_CHARACTERS] + ("…" if len(text) > PREVIEW_CHARACTERS else "")


def _keep(
    record: Import, counts: Counts, preview: list[dict[str, Any]], run: JobRun | None
) -> dict[str, Any]:
    """The report, kept with the import."""
    report = counts.to_json() | {"preview": preview, "options": record.options}
    # Another mapping may have been chosen meanwhile: its check is the one that counts.
    mine = Import.objects.filter(pk=record.pk, dry_job=run.job if run else None)
    mine.update(report=report)
    record.report = report
    if run is not None:
        run.progress(counts.rows, counts.rows, stage="Checked", message=counts.summary())
    return report


@contextmanager
def _checker(record: Import) -> Iterator[Checker]:
    policy = Options.from_json(record.options).conflict
    files = record.project.modality == Project.Modality.IMAGE
    with Checker(record.project_id, on_conflict=policy, files=files) as checker:
        yield checker


def _count(
    batch: Batch, findings: list[Finding], counts: Counts, errors: ErrorFile, known: frozenset[str]
) -> None:
    listed = list(batch.errors)
    counts.rows += batch.rows
    counts.rejected += len(batch.errors)
    for n, (item, (match, alike)) in enumerate(zip(batch.items, findings, strict=True)):
        counts.add(item, match, known)
        reasons = [services.conflict_words(match)] if match.conflict else []
        if alike:
            reasons.append(f"Nearly the same name as “{alike}”: is it the same picture?")
        elif batch.written[n] and match.outcome is not Outcome.CREATED:
            reasons.append(f"Written otherwise, “{item.external_id}” is a name that was there before.")
            alike = item.external_id
        counts.alike += bool(alike)
        listed += [(*batch.places[n], reason, item.external_id) for reason in reasons]
    counts.listed += len(listed)
    counts.error_bytes = errors.write(sorted(listed, key=lambda row: row[:2]))


def _preview(record: Import, batch: Batch, n: int, finding: Finding, number: int) -> dict[str, Any]:
    """One of the first items as it will look."""
    item, (name, line) = batch.items[n], batch.places[n]
    shown: dict[str, Any] = {
        "file": name,
        "line": line,
        "external_id": finding.match.name,
        "outcome": str(finding.match.outcome),
        "text": _shortened(item.text or ""),
        "split": str(item.split),
        "labels": list(item.classes),
        "meta": item.meta,
    }
    if item.payload is not None and item.asset is not None:
        shown |= {"width": item.asset.width, "height": item.asset.height}
        shown["picture"] = number if _picture(record, item, number) else None
    return shown


def _picture(record: Import, item: NewItem, number: int) -> bool:
    """Whether a thumbnail could be made."""
    assert item.payload is not None
    try:
        write_atomically(record.picture_path(number), files.thumbnail_of(item.payload))
    except ModalityError:
        return False
    return True
