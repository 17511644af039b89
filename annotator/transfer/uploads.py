"""Uploads in pieces: announced, sent chunk by chunk at an offset, completed. Lost connections and reloads lose nothing.

The length of each file on the disk is the only truth about how much of it has come.
"""

from __future__ import annotations

import fcntl
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.modalities import image
from annotator.projects.models import Project
from annotator.transfer import services
from annotator.transfer.disk import full_disk_in_words
from annotator.transfer.formats import FormatError, format_of
from annotator.transfer.formats.archive import safe_name
from annotator.transfer.models import Import

CHUNK_BYTES = 8 * 2**20
PIECE = 2**18
MAX_FILES = 20_000


class Announced(NamedTuple):
    """A file that will be sent; the name may be a path within the folder that was chosen."""

    name: str
    size: int


def create(*, project: Project, user: User | None, files: Sequence[Announced]) -> Import:
    """Make room for these files; Invalid, before anything is sent, when they cannot be taken."""
    services.check_open(project)
    if not files:
        raise Invalid("Choose a file.", code="wrong_format")
    if len(files) > MAX_FILES:
        raise Invalid(f"At most {MAX_FILES:,} files can be sent at a time.", code="too_many_files")
    names = [_name(each.name) for each in files]
    try:
        kind = format_of(names, project.modality)
    except FormatError as error:
        raise Invalid(str(error), code="wrong_format") from error
    total = sum(each.size for each in files)
    if total > settings.MAX_UPLOAD_BYTES:
        raise Invalid(
            f"These files have {total:,} bytes; {settings.MAX_UPLOAD_BYTES:,} are allowed.",
            code="too_large",
            status=413,
        )
    limit = image.MAX_BYTES if kind.key == "images" else settings.MAX_UPLOAD_BYTES
    for name, each in zip(names, files, strict=True):
        if each.size > limit:
            raise Invalid(
                f"“{name}” has {each.size:,} bytes; {limit:,} are allowed.", code="too_large", status=413
            )
    services.remove_old_files()
    record = Import(project=project, format=kind.key, created_by=user, complete=False)
    record.files = [
        {"name": name, "stored": f"file{n:05}", "size": each.size}
        for n, (name, each) in enumerate(zip(names, files, strict=True))
    ]
    record.save()
    record.folder.mkdir(parents=True, exist_ok=True)
    return record


def offsets(record: Import) -> list[int]:
    """How many bytes of each file are here."""
    return [_length(record, n) for n in range(len(record.files))]


def write_chunk(*, record: Import, number: int, offset: int, stream: IO[bytes], length: int) -> int:
    """Append a chunk; returns the file's new length. Conflict, with the right offset, when it does not go on there."""
    _refuse_complete(record)
    if not 0 <= number < len(record.files):
        raise Invalid("There is no such file in this upload.", code="no_such_file")
    if length > CHUNK_BYTES:
        raise Invalid(f"A chunk has at most {CHUNK_BYTES:,} bytes.", code="too_large", status=413)
    size = record.files[number]["size"]
    with full_disk_in_words(), _opened(record, number) as file:
        # Two tabs, or a repeat while the first request is still being read: one after the other.
        fcntl.flock(file, fcntl.LOCK_EX)
        here = os.fstat(file.fileno()).st_size
        if here != offset or here + length > size:
            raise Conflict(
                "The file goes on elsewhere.",
                code="wrong_offset",
                hint="Send from the offset given.",
                offset=here,
            )
        left = length
        while left and (piece := stream.read(min(PIECE, left))):
            file.write(piece)
            left -= len(piece)
    return _length(record, number)


def complete(*, record: Import) -> Import:
    """Say that all is sent; Conflict when bytes are missing. The import can then be checked and started.

    Files that cannot be read are Invalid, and gone: the same ones can be chosen anew.
    """
    if record.complete:
        return record
    services.check_open(record.project)
    for n, each in enumerate(record.files):
        if each["size"] == 0:
            _opened(record, n).close()
        if (here := _length(record, n)) != each["size"]:
            missing = each["size"] - here
            raise Conflict(f"{missing:,} bytes of “{each['name']}” are missing.", code="incomplete_upload")
    record.complete = True
    services.recognise(record)
    try:
        services.look(record)
    except Invalid:
        services.forget(record)
        raise
    record.save(update_fields=["complete", "format"])
    return record


def abandon(*, record: Import) -> None:
    """Forget an upload that nobody will go on with."""
    _refuse_complete(record)
    services.forget(record)


def state(record: Import) -> dict[str, Any]:
    """What a client needs in order to go on."""
    sent = [each["size"] for each in record.files] if record.complete else offsets(record)
    return {
        "id": record.pk,
        "complete": record.complete,
        "chunk_bytes": CHUNK_BYTES,
        "files": [
            {"name": each["name"], "size": each["size"], "offset": offset}
            for each, offset in zip(record.files, sent, strict=True)
        ],
    }


def _refuse_complete(record: Import) -> None:
    if record.complete:
        raise Conflict("This upload is complete already.", code="upload_complete")


def _opened(record: Import, number: int) -> IO[bytes]:
    """A file to go on with; NotFound when its upload was removed."""
    path: Path = record.folder / record.files[number]["stored"]
    try:
        return path.open("ab")
    except FileNotFoundError as error:
        raise NotFound(
            "This upload was removed.", code="upload_gone", hint="Send the files again."
        ) from error


def _length(record: Import, number: int) -> int:
    try:
        path: Path = record.folder / record.files[number]["stored"]
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _name(name: str) -> str:
    """The path within the chosen folder, as far as it is harmless, else the last part of it. Its Unicode form stays."""
    if safe_name(name):
        return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    return services.base_name(unicodedata.normalize("NFC", name))
