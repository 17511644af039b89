"""Where the files of an import come from. A kind of source is one row of SOURCES: nothing else asks which it is."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.transfer.formats import FORMATS, Format, FormatError, Source, format_of
from annotator.transfer.formats.archive import JUNK
from annotator.transfer.formats.bucket import listing_of
from annotator.transfer.models import Import

MAX_FILES = 500_000
SHOWN_FOLDERS = 1_000
OUTSIDE = "This link leads out of the folder that may be imported from."


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """`files` yields them; `available` says whether they can (still) be read. `listed` yields them for the import itself,
    in the order in which it found them when it began (`anew`), whatever has come or gone since.

    `discard` deletes what was copied for the import: nothing where files are read in place.
    """

    title: str
    available: Callable[[Import], bool]
    files: Callable[[Import], Iterator[Source]]
    listed: Callable[[Import, bool], Iterator[Source]]
    total: Callable[[Import], int]
    discard: Callable[[Import], None]


@dataclass(frozen=True)
class Folder:
    """A folder of the server: the root's number in the settings, the way down from there, and where that is."""

    root: int
    inside: str
    path: Path

    @property
    def title(self) -> str:
        return "/".join(filter(None, [roots()[self.root].name, self.inside]))


def roots() -> list[Path]:
    """The folders that managers may import from, links resolved."""
    return [Path(os.path.realpath(each)) for each in settings.IMPORT_ROOTS]


def server_folder(root: int, inside: str) -> Folder:
    """The folder, or NotFound when it does not lie in the root or is none."""
    allowed = roots()
    if not 0 <= root < len(allowed) or "\0" in inside:
        raise NotFound("There is no such folder to import from.")
    path = Path(os.path.realpath(allowed[root] / inside.lstrip("/")))
    if not path.is_relative_to(allowed[root]) or not path.is_dir():
        raise NotFound("There is no such folder to import from.")
    inside = path.relative_to(allowed[root]).as_posix()
    return Folder(root, "" if inside == "." else inside, path)


def subfolders(folder: Folder) -> list[str]:
    """Names of the folders in it, hidden ones and links left out."""
    try:
        with os.scandir(folder.path) as entries:
            names = [
                each.name
                for each in entries
                if each.is_dir(follow_symlinks=False)
                and not each.name.startswith(".")
                and each.name.isprintable()
            ]
    except OSError as error:
        raise Conflict("This folder cannot be read.", code="unreadable_folder") from error
    return sorted(names)[:SHOWN_FOLDERS]


def format_in(folder: Folder, modality: str) -> tuple[Format, int, int]:
    """(the kind that most files there have, how many files there are in all, bytes of that kind's)."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for source in walk(folder):
        kind = kind_of(source.name, modality)
        counts[kind.key if kind else ""] += 1
        if kind and not source.refused:
            sizes[kind.key] += source.size
    total = counts.total()
    counts.pop("", None)
    if not counts:
        raise Invalid("There is no file in this folder that the project takes.", code="wrong_format")
    key = counts.most_common(1)[0][0]
    return FORMATS[key], total, sizes[key]


def kind_of(name: str, modality: str) -> Format | None:
    """The format of a file of this name in a project of this modality."""
    try:
        return format_of([name], modality)
    except FormatError:
        return None


def walk(folder: Folder) -> Iterator[Source]:
    """All files below, depth first in the order of their names; those that lead out are refused. Links to folders
    are not followed: they may go round in circles."""
    for count, path in enumerate(_paths(folder.path), start=1):
        _refuse_many(count)
        yield _source(folder, path)


def _source(folder: Folder, path: Path) -> Source:
    name = os.fsencode(path.relative_to(folder.path)).decode("utf-8", "replace")
    real = Path(os.path.realpath(path))
    refused = "" if real.is_relative_to(roots()[folder.root]) else OUTSIDE
    return Source(real, name, refused=refused or ("" if real.is_file() else "This is no file."))


def _paths(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if JUNK.search(entry.name) or entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(Path(entry.path))
        elif not (entry.is_symlink() and entry.is_dir()):
            yield Path(entry.path)


def _uploaded(record: Import) -> Iterator[Source]:
    for each in record.files:
        yield Source(record.folder / each["stored"], each["name"])


def _remove_uploads(record: Import) -> None:
    for each in record.files:
        path = record.folder / each["stored"]
        path.unlink(missing_ok=True)
        listing_of(path).unlink(missing_ok=True)


def _folder_of(record: Import) -> Folder:
    return server_folder(record.location["root"], record.location["inside"])


def _in_folder(record: Import) -> Iterator[Source]:
    return (_of_the_kind(record, source) for source in walk(_folder_of(record)))


def _as_listed(record: Import, anew: bool) -> Iterator[Source]:  # noqa: FBT001
    """Files that came meanwhile are left out, and those that are gone are refused in their place: rows are counted."""
    folder, listing = _folder_of(record), _listing(record)
    if anew or not listing.exists():
        listing.parent.mkdir(parents=True, exist_ok=True)
        fresh = listing.with_name(f"{listing.name}.part")
        with fresh.open("w") as lines:
            for count, path in enumerate(_paths(folder.path), start=1):
                _refuse_many(count)
                lines.write(json.dumps(str(path.relative_to(folder.path))) + "\n")
        fresh.replace(listing)
    with listing.open() as lines:
        for line in lines:
            yield _of_the_kind(record, _source(folder, folder.path / json.loads(line)))


def _of_the_kind(record: Import, source: Source) -> Source:
    kind = kind_of(source.name, record.project.modality)
    if not source.refused and (kind is None or kind.key != record.format):
        source.refused = f"This is no {FORMATS[record.format].title.lower()}, as the others here are."
    return source


def _listing(record: Import) -> Path:
    return record.folder / "folder.listing"


def _refuse_many(count: int) -> None:
    if count > MAX_FILES:
        raise Invalid(
            f"The folder holds more than {MAX_FILES:,} files.",
            code="too_many_files",
            hint="Choose a folder in it.",
        )


def _folder_is_there(record: Import) -> bool:
    try:
        _folder_of(record)
    except NotFound:
        return False
    return True


SOURCES: dict[str, SourceKind] = {
    "upload": SourceKind(
        title="Uploaded files",
        available=lambda record: record.complete and record.has_files,
        files=_uploaded,
        listed=lambda record, anew: _uploaded(record),
        total=lambda record: sum(each["size"] for each in record.files),
        discard=_remove_uploads,
    ),
    "server": SourceKind(
        title="A folder of the server",
        available=_folder_is_there,
        files=_in_folder,
        listed=_as_listed,
        total=lambda record: int(record.location["bytes"]),
        discard=lambda record: _listing(record).unlink(missing_ok=True),
    ),
}


def kind_of_source(record: Import) -> SourceKind:
    return SOURCES[record.source]
