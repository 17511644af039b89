"""The file of a backup: a zip archive with the database, the files of the data folder, and a manifest with their digests."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from annotator.common.errors import AnnotatorError

FORMAT = 1
MANIFEST, DUMP, FILES = "manifest.json", "database.dump", "files/"
PIECE = 2**20
# What the data folder holds that cannot be computed again. Features can, at the cost of encoding everything.
FOLDERS = ("media", "models", "rounds", "encoders", "demo")
SECRETS = ("secret_key",)
NOT_A_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
LARGEST_MANIFEST = 512 * 2**20

Progress = Callable[[int, int], None]


class BackupError(AnnotatorError):
    code, status = "backup", 409


@dataclass(frozen=True)
class Manifest:
    """What an archive holds. `files`: {member: [bytes, SHA-256]}; `migrations`: those the database had."""

    made_at: str
    release: str
    postgres: int
    migrations: list[str]
    folders: list[str]
    files: dict[str, list[Any]] = field(default_factory=dict)
    format: int = FORMAT


def release() -> str:
    """Version of this installation."""
    try:
        return version("annotator")
    except PackageNotFoundError:
        return "0.1.0"


def files_below(home: Path, folders: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """(name relative to `home`, path) of the regular files; half-written ones, which begin with a dot, stay out."""
    for top in folders:
        for parent, names, files in os.walk(home / top):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                path = Path(parent) / name
                if not name.startswith(".") and path.is_file() and not path.is_symlink():
                    yield path.relative_to(home).as_posix(), path


def write_member(archive: zipfile.ZipFile, name: str, source: Path) -> list[Any]:
    """Add a file as it is now; its size and digest as written."""
    digest, size = sha256(), 0
    with source.open("rb") as reading, archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as writing:
        while piece := reading.read(PIECE):
            writing.write(piece)
            digest.update(piece)
            size += len(piece)
    return [size, digest.hexdigest()]


def write_manifest(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1), compress_type=zipfile.ZIP_DEFLATED)


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """The manifest, checked against the list of members; raises BackupError in words."""
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > LARGEST_MANIFEST:
            raise BackupError("The manifest of this file is too large to be one.")
        given = json.loads(archive.read(info))
        manifest = Manifest(**given)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BackupError(
            "This file is no backup of Annotator.", hint="It has no manifest that can be read."
        ) from error
    if manifest.format != FORMAT:
        raise BackupError(
            f"This backup has format {manifest.format}, this release reads {FORMAT}.",
            hint=f"It was made by release {manifest.release}: restore it with that release or a newer one.",
        )
    for name in manifest.files:
        check_name(name)
    members = [info.filename for info in archive.infolist() if info.filename != MANIFEST]
    if sorted(members) != sorted(manifest.files) or DUMP not in manifest.files:
        raise BackupError(
            "The backup does not hold what its manifest says.", hint="It is damaged or was changed."
        )
    return manifest


def check_name(name: str) -> None:
    """Refuse members that would land anywhere but in the known folders."""
    if name == DUMP:
        return
    parts = PurePosixPath(name).parts
    allowed = {*FOLDERS, "features", *SECRETS}
    plain = name.startswith(FILES) and not NOT_A_NAME.search(name) and str(PurePosixPath(name)) == name
    if not plain or ".." in parts or len(parts) < 2 or parts[1] not in allowed:
        raise BackupError(f"The backup holds {name!r}, which belongs nowhere.", hint="Nothing was restored.")


def unpack(archive: zipfile.ZipFile, manifest: Manifest, target: Path, progress: Progress) -> None:
    """Write every member below `target` (new and private) and compare its digest; raises BackupError on the first difference."""
    total, done = sum(size for size, _ in manifest.files.values()), 0
    for name, (size, digest) in manifest.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        info = archive.getinfo(name)
        if stat.S_ISLNK(info.external_attr >> 16) or info.file_size != size:
            raise BackupError(f"{name} is not what the manifest says.", hint="The backup is damaged.")
        try:
            with archive.open(info) as reading, path.open("xb") as writing:
                found = _copy(reading, writing)
        except (zipfile.BadZipFile, EOFError) as error:
            raise BackupError(f"{name} cannot be read: {error}", hint="The backup is damaged.") from error
        if found != digest:
            raise BackupError(f"{name} has changed since the backup.", hint="The backup is damaged.")
        done += size
        progress(done, total)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before anything is written when the disk cannot hold it, with a tenth to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1 + 64 * 2**20:
        raise BackupError(
            f"{what} needs about {needed / 2**20:,.0f} MiB, {folder} has {free / 2**20:,.0f} MiB free.",
            hint="Make room, or choose another disk.",
        )


def _copy(reading: IO[bytes], writing: IO[bytes]) -> str:
    digest = sha256()
    while piece := reading.read(PIECE):
        writing.write(piece)
        digest.update(piece)
    return digest.hexdigest()
