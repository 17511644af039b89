"""Everything there is: a first line about the project, then one record a line; images beside them in an archive.

An import into a project that has no items yet restores all of it (transfer.restore). Elsewhere the answers that people agreed
on come in as imported labels.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

from annotator.transfer.formats.archive import entry, is_archive, opened, unpacked, unpacking
from annotator.transfer.formats.base import (
    BOTH,
    EXCERPT,
    PREVIEW_ROWS,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.parts import first_object, json_line, scores_of
from annotator.transfer.losses import EVERYTHING
from annotator.transfer.output import Target
from annotator.transfer.records import VERSION, ExportItem

RECORDS = "records.jsonl"
MAX_LINE = 64 * 2**20
MARK = "annotator_export"


def asset_name(digest: str) -> str:
    return f"assets/{digest[:2]}/{digest}"


def write(items: Iterable[ExportItem], target: Target) -> None:
    """From items; exports write the records' own lines instead, see write_lines."""
    write_lines(((item.asset, json_line(_plain(item))) for item in items), target)


def write_lines(lines: Iterable[tuple[dict[str, Any] | None, bytes]], target: Target) -> None:
    """(asset, record's line) as they stand."""
    file = target.open(RECORDS)
    file.write(json_line(target.context.header))
    written: set[str] = set()
    for asset, line in lines:
        file.write(line)
        if asset is not None and asset["digest"] not in written:
            written.add(asset["digest"])
            target.asset(asset_name(asset["digest"]), asset)


def recognises(source: Source) -> bool:
    if is_archive(source):
        with opened(source) as archive:
            return RECORDS in archive.namelist()
    return MARK in first_object(source)


@contextmanager
def record_lines(source: Source) -> Iterator[tuple[dict[str, Any], Iterator[bytes], zipfile.ZipFile | None]]:
    """(header, the records' lines, the archive they came in if any)."""
    if is_archive(source):
        with opened(source) as archive, entry(archive, _records(archive)) as file:
            yield _header(file), _lines(file), archive
    else:
        with source.path.open("rb") as plain:
            yield _header(plain), _lines(plain), None


def inspect(source: Source, given: Options | None) -> Layout:
    rows = [row for row in islice(read(source, Options()), PREVIEW_ROWS) if isinstance(row, Row)]
    with record_lines(source) as (header, _, _):
        about = header.get("project")
        name = about.get("name", "") if isinstance(about, dict) else ""
    return Layout(
        options=given or Options(),
        columns=["id", "text", "labels"],
        rows=[[row.external_id, row.text or "", ", ".join(row.labels)] for row in rows],
        notes=[
            f"This is an export of the project “{str(name)[:200]}”. A project without items takes all of it: classes, answers of "
            "everybody, splits. In any other, what people agreed on comes in as imported labels."
        ],
    )


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    """Items with the agreed answer as imported label."""
    with record_lines(source) as (_, lines, archive):
        for number, line in enumerate(lines, start=2):
            try:
                item = ExportItem.from_line(line)
                found = _row(number, item, archive)
            except FormatError as error:
                found = RowError(line=number, reason=str(error), excerpt=_shown(line))
            except KeyError as error:
                found = RowError(line=number, reason=f"This is no record: no {error}.", excerpt=_shown(line))
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
                found = RowError(line=number, reason="This is no record of an item.", excerpt=_shown(line))
            source.position = min(source.position + len(line), source.size)
            yield found


def _row(number: int, item: ExportItem, archive: zipfile.ZipFile | None) -> Row | RowError:
    labels = item.consensus
    if labels is None and item.imported_label:
        labels = item.imported_label["classes"]
    if not all(isinstance(each, str) for each in (item.external_id, item.split, item.text or "")):
        raise FormatError("Its id, its text or its split is no text.")
    if not isinstance(item.meta, dict):
        raise FormatError("Its metadata are no object.")
    if not isinstance(labels or [], list) or not all(isinstance(each, str) for each in labels or []):
        raise FormatError("Its labels are no list of class names.")
    payload = None
    if item.asset is not None:
        payload = picture(archive, item.asset["digest"])
        if payload is None:
            return RowError(line=number, reason="Its image is not in the archive.", excerpt=item.external_id)
    return Row(
        line=number,
        external_id=item.external_id,
        text=item.text,
        payload=payload,
        labels=tuple(labels or ()),
        split=item.split,
        meta=item.meta,
        predictions={str(each["source"]): scores_of(each["classes"]) for each in item.predictions},
    )


def picture(archive: zipfile.ZipFile | None, digest: str) -> bytes | None:
    """The bytes of an image of the archive; None when it has none of that name. FormatError when they are damaged."""
    if archive is None or not isinstance(digest, str):
        return None
    try:
        info = archive.getinfo(asset_name(digest))
    except KeyError:
        return None
    return unpacked(archive, info)


def _records(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(RECORDS)
    except KeyError as error:
        raise FormatError(f"There is no {RECORDS} in the archive.") from error


def _header(file: IO[bytes]) -> dict[str, Any]:
    with unpacking():
        line = file.readline(MAX_LINE)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError("This is no export of a project.") from error
    if not isinstance(value, dict) or MARK not in value:
        raise FormatError("This is no export of a project.")
    if value[MARK] != VERSION:
        raise FormatError(f"This export has version {value[MARK]!r}; version {VERSION} can be read.")
    return value


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while True:
        with unpacking():
            line = file.readline(MAX_LINE)
        if not line:
            return
        if line.strip():
            yield line


def _shown(line: bytes) -> str:
    return line[:EXCERPT].decode("utf-8", "replace")


def _plain(item: ExportItem) -> dict[str, Any]:
    names = [name for name in ExportItem.__slots__ if name not in ("consensus", "agreement", "subset")]
    values = {name: getattr(item, name) for name in (*names, "consensus", "agreement", "subset")}
    values["votes"] = [{name: getattr(vote, name) for name in vote.__slots__} for vote in item.votes]
    return values


FORMAT = Format(
    key="native",
    title="Annotator JSON lines",
    modalities=BOTH,
    extensions=(".jsonl", ".zip"),
    inspect=inspect,
    read=read,
    recognises=recognises,
    write=write,
    holds=EVERYTHING,
    plain=RECORDS,
    restores=True,
    about="Everything, and the only one from which a project can be restored exactly.",
)
