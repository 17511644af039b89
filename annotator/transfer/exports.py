"""Exports: asked for, written by a job, fetched, deleted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.jobs.models import Job
from annotator.jobs.services import JobRun, start_job
from annotator.projects.models import Project
from annotator.transfer import card
from annotator.transfer.dataset import Dataset, Entry, context_of, open_dataset
from annotator.transfer.disk import nothing_half_written
from annotator.transfer.formats import FORMATS, Format, export_formats
from annotator.transfer.formats.native import write_lines
from annotator.transfer.losses import Loss, Losses
from annotator.transfer.models import Export, Snapshot
from annotator.transfer.output import CHECKSUMS, Context, DryTarget, Target
from annotator.transfer.records import ExportItem
from annotator.transfer.selection import Selection

KIND = "export"
NATIVE = "native"
MANIFEST_VERSION = 1
PREVIEWED = 2_000  # items: more would keep a page waiting
PREVIEWED_BYTES = 8 * 2**20
EVERY = 1_000


def create_export(
    *,
    project: Project,
    format_key: str,
    user: User | None,
    snapshot: Snapshot | None = None,
    selection: Selection | None = None,
    plain: bool = False,
    formula_guard: bool = True,
) -> Export:
    """Begin an export in the background; Invalid when the format does not fit the project."""
    kind = export_format(project, format_key)
    selection = selection or Selection()
    if plain and (not kind.plain or project.modality != Project.Modality.TEXT):
        raise Invalid("This format has several files: they come as an archive.", code="not_plain")
    if plain and selection.splits and kind.key == "fasttext":
        raise Invalid(
            "Divided into splits there are several files: they come as an archive.", code="not_plain"
        )
    if snapshot is not None:
        if snapshot.project_id != project.pk or not snapshot.ready:
            raise Conflict("This snapshot is not complete.", code="snapshot_not_ready")
        if selection.splits is not None:
            raise Invalid("A snapshot has its splits already.", code="snapshot_splits")
    options = {**selection.to_json(), "plain": plain, "formula_guard": formula_guard}
    with transaction.atomic():
        export = Export.objects.create(
            project=project, snapshot=snapshot, format=kind.key, options=options, created_by=user
        )
        title = f"Export as {kind.title}" + (f" of “{snapshot.name}”" if snapshot else "")
        export.job = start_job(
            kind=KIND,
            project_id=project.pk,
            created_by=user,
            params={"export": export.pk, "title": title},
        )
        export.save(update_fields=["job"])
    return export


def run_export(*, export_id: int, run: JobRun) -> dict[str, Any]:
    """Write the export's files, from the beginning each time; they are there whole or not at all."""
    export = Export.objects.select_related("project", "snapshot").get(pk=export_id)
    shutil.rmtree(export.folder, ignore_errors=True)
    partial = export.folder / f"partial-{run.job.attempts}"
    partial.mkdir(parents=True)
    with nothing_half_written(partial):
        run.progress(0, stage="Reading")
        dataset = open_dataset(
            project=export.project,
            snapshot=export.snapshot,
            selection=Selection.from_json(export.options),
        )
        written = _write(export, dataset, partial, run)
        partial.replace(export.folder / "files")
    export.files, export.manifest = written.files, written.manifest
    export.losses, export.digest = [loss.to_json() for loss in written.losses], written.digest
    export.save(update_fields=["files", "manifest", "losses", "digest"])
    items = written.manifest["counts"]["items"]
    run.progress(items, items, stage="Written", message=f"{items:,} items")
    return {"export": export.pk, "items": items, "digest": written.digest}


def delete_export(*, export: Export) -> None:
    """Delete its files for good; Conflict while they are being written."""
    if export.job and export.job.state in (Job.State.QUEUED, Job.State.RUNNING):
        raise Conflict(
            "The export is still being written.", code="export_active", hint="Cancel its job first."
        )
    folder = export.folder
    export.delete()
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def export_format(project: Project, key: str) -> Format:
    """The format to write, or Invalid when there is none of that name for such projects."""
    known = export_formats(modality=project.modality, task=project.task)
    found = next((each for each in known if each.key == key), None)
    if found is None:
        names = ", ".join(each.key for each in known)
        raise Invalid(f"There is no format {key!r} for this project: use {names}.", code="unknown_format")
    return found


def preview_losses(
    *,
    project: Project,
    kind: Format,
    snapshot: Snapshot | None = None,
    selection: Selection | None = None,
    formula_guard: bool = True,
) -> list[Loss] | None:
    """What the export would lose, counted now; None for data sets too large to do so while somebody waits.

    Invalid for a format that does not write such projects.
    """
    if not kind.writes(modality=project.modality, task=project.task):
        raise Invalid(f"This project cannot be exported as {kind.title}.", code="no_such_format")
    dataset = open_dataset(project=project, snapshot=snapshot, selection=selection or Selection())
    if dataset.count > PREVIEWED:
        return None
    losses = Losses(kind.holds)
    context = context_of(dataset, project.pk, formula_guard=formula_guard)
    target = DryTarget(context, losses)
    assert kind.write is not None
    try:
        kind.write(losses.pass_on(_items(_few(dataset.entries()))), target)
    except _TooLarge:
        return None
    _count_schema(losses, kind, context)
    return losses.report()


class _TooLarge(Exception):
    """More bytes than are read while somebody waits."""


def _few(entries: Iterator[Entry]) -> Iterator[bytes]:
    total = 0
    for entry in entries:
        total += len(entry.line)
        if total > PREVIEWED_BYTES:
            raise _TooLarge
        yield entry.line


class _Written:
    """What came of writing one export."""

    def __init__(
        self,
        files: list[dict[str, Any]],
        manifest: dict[str, Any],
        losses: list[Loss],
        digest: str,
    ) -> None:
        self.files, self.manifest, self.losses, self.digest = files, manifest, losses, digest


class _Tally:
    """Entries as they pass: their digest, how many, progress."""

    def __init__(self, dataset: Dataset, run: JobRun) -> None:
        self._dataset, self._run = dataset, run
        self._hash = sha256()
        self.items = 0

    def __iter__(self) -> Iterator[Entry]:
        total = self._dataset.count

        def watch(done: int) -> None:
            self._run.progress(done, total, stage="Dividing")

        for entry in self._dataset.entries(watch):
            self._hash.update(entry.line)
            yield entry
            self.items += 1
            if self.items % EVERY == 0:
                self._run.progress(self.items, total, stage="Writing")

    def digest(self) -> str:
        return self._hash.hexdigest()


def _write(export: Export, dataset: Dataset, folder: Path, run: JobRun) -> _Written:
    kind = FORMATS[export.format]
    assert kind.write is not None
    plain = bool(export.options.get("plain"))
    context = context_of(
        dataset, export.project_id, formula_guard=bool(export.options.get("formula_guard", True))
    )
    base = f"{_slug(context.name)}-{kind.key}"
    losses = Losses(kind.holds)
    target = Target(folder, context, losses, archive=None if plain else folder / f"{base}.zip")
    tally, counts = _Tally(dataset, run), Counter[str]()
    try:
        if kind.key == NATIVE:
            write_lines(((entry.asset, entry.line) for entry in tally), target)
        else:
            passing = losses.pass_on(_items(entry.line for entry in tally))
            kind.write(_counted(passing, counts), target)
            _count_schema(losses, kind, context)
        parts = [each for each in target.parts() if not plain or each["name"] == kind.plain]
        manifest = {
            "manifest": MANIFEST_VERSION,
            "format": kind.key,
            "moment": dataset.header["moment"],
            "snapshot": export.snapshot.name if export.snapshot else None,
            "project": context.name,
            "modality": context.modality,
            "task": context.task,
            "classes": [{"key": label.key, "name": label.name} for label in context.labels],
            "schema_version": dataset.header["schemas"][-1]["version"],
            "selection": _stated(export),
            "counts": {
                "records": tally.items,
                "items": tally.items if kind.key == NATIVE else counts["items"],
                "files": target.assets,
                **{key: n for key, n in sorted(counts.items()) if key != "items"},
            },
            "digest": tally.digest(),
            "files": parts,
            "file_checksums": CHECKSUMS if target.assets else None,
            "losses": [loss.to_json() for loss in losses.report()],
        }
        extra = _papers(manifest, losses.report())
        if kind.key == NATIVE and not plain:
            extra[card.NAME] = card.card(dataset.header, manifest).encode()
        run.progress(tally.items, stage="Packing")
        if plain:
            suffix = kind.plain.rpartition(".")[2]
            target.take(kind.plain, folder / f"{base}.{suffix}")
            for leftover in folder.glob("part[0-9]*"):
                leftover.unlink()
            for name, data in extra.items():
                (folder / name).write_bytes(data)
            names = [f"{base}.{suffix}", *extra]
        else:
            target.finish(extra)
            names = [f"{base}.zip"]
    except BaseException:
        target.abandon()
        raise
    files = [_described(folder / name) for name in names]
    return _Written(files, manifest, losses.report(), tally.digest())


def _items(lines: Iterable[bytes]) -> Iterator[ExportItem]:
    return map(ExportItem.from_line, lines)


def _counted(items: Iterable[ExportItem], counts: Counter[str]) -> Iterator[ExportItem]:
    for item in items:
        counts["items"] += 1
        counts[item.part] += 1
        counts["labelled"] += item.consensus is not None
        yield item


def _count_schema(losses: Losses, kind: Format, context: Context) -> None:
    if "schema" not in kind.holds:
        losses.add("schema", len(context.header["schemas"]) - 1)


def _stated(export: Export) -> dict[str, Any]:
    """What was asked for; of a snapshot's export also what the snapshot holds."""
    stated = {**export.options}
    if export.snapshot:
        stated["snapshot"] = export.snapshot.selection
    return stated


def _papers(manifest: dict[str, Any], losses: list[Loss]) -> dict[str, bytes]:
    """The manifest and the loss report, for programs and for people."""
    said = [loss.words for loss in losses] or ["Nothing was lost or changed."]
    return {
        "manifest.json": json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n",
        "loss.txt": ("\n".join(said) + "\n").encode(),
    }


def _described(path: Path) -> dict[str, Any]:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def _slug(name: str) -> str:
    safe = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(filter(None, islice(safe.split("-"), 8)))[:60] or "project"
