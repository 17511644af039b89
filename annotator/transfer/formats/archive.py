"""Zip archives of images; the folder of an image may name its class. Nothing is ever unpacked to a path of the archive."""

from __future__ import annotations

import lzma
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO

from annotator.modalities import image
from annotator.transfer.formats import class_folders
from annotator.transfer.formats.base import (
    IMAGE,
    PREVIEW_ROWS,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)

MAX_ENTRIES = 500_000
MAX_NAME = 500
# A picture is compressed already: an archive that unpacks to far more than it weighs is a bomb.
MAX_RATIO = 200
RATIO_FREE_BYTES = 2**20
# What Python's reader of zip archives raises for damaged ones, by way of compression and of what it has not learned.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)
SHOWN_FOLDERS = 50
SPLIT_FOLDERS = frozenset({"train", "test", "val", "valid", "validation"})
JUNK = re.compile(r"(^|/)(__MACOSX/|\.[^./][^/]*(/|$)|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
DRIVE = re.compile(r"^[A-Za-z]:")


def inspect(source: Source, given: Options | None) -> Layout:
    with opened(source) as archive:
        entries = [
            info for info in archive.infolist() if not info.is_dir() and not JUNK.search(info.filename)
        ]
    names = [name for info in entries if (name := safe_name(info.filename))]
    pictures = [name for name in names if name.lower().endswith(image.EXTENSIONS)]
    if not pictures:
        raise FormatError("There is no image in the archive.")
    folders = Counter(PurePosixPath(name).parent.name for name in pictures)
    folders.pop("", None)
    rows = [[name, PurePosixPath(name).parent.name] for name in pictures[:PREVIEW_ROWS]]
    notes = []
    if len(pictures) < len(entries):
        others = len(entries) - len(pictures)
        are = "file is no image" if others == 1 else "files are no images"
        notes.append(f"{others:,} {are} and will be reported as errors.")
    splits = Counter(split for name in pictures if (split := split_of(name)))
    if splits and len(folders) > 1:
        counted = ", ".join(f"{name} ({count:,})" for name, count in splits.most_common())
        notes.append(
            f"Folders name splits: {counted}. Images of other splits than train are held out for tests."
        )
    return Layout(
        options=given or Options(folder_labels=len(folders) > 1),
        columns=["file", "folder"],
        rows=rows,
        folders=[f"{name} ({count:,})" for name, count in folders.most_common(SHOWN_FOLDERS)],
        entries=len(pictures),
        notes=notes,
    )


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    with opened(source) as archive:
        for number, info in enumerate(archive.infolist(), start=1):
            source.position = max(source.position, info.header_offset)
            if not info.is_dir() and not JUNK.search(info.filename):
                yield _row(archive, number, info, options)


def safe_name(name: str) -> str:
    """The entry's name in NFC, or '' when it tries to leave the archive or is no name at all."""
    # Some archivers of Windows write its own separators.
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or DRIVE.match(name) or ".." in parts or len(name) > MAX_NAME:
        return ""
    return "/".join(part for part in parts if part not in ("", ".")) if name.isprintable() else ""


def _row(archive: zipfile.ZipFile, number: int, info: zipfile.ZipInfo, options: Options) -> Row | RowError:
    name = safe_name(info.filename)
    shown = info.filename.encode("unicode_escape").decode()[:200]
    if not name:
        return RowError(line=number, reason="The name is unsafe: it leads out of the archive.", excerpt=shown)
    if stat.S_ISLNK(info.external_attr >> 16):
        return RowError(line=number, reason="This is a link, not a file.", excerpt=shown)
    try:
        data = unpacked(archive, info)
    except FormatError as error:
        return RowError(line=number, reason=str(error), excerpt=shown)
    folder = PurePosixPath(name).parent.name
    labels = (folder,) if options.folder_labels and folder else ()
    split = split_of(name) if options.folder_labels else ""
    written = info.filename if info.filename != name else ""
    return Row(line=number, external_id=name, written=written, payload=data, labels=labels, split=split)


def split_of(name: str) -> str:
    """The split that a folder above the class folder names, as in 'test/cat/1.png'; '' where none does."""
    above = PurePosixPath(name).parent.parts[:-1]
    return next((part for part in above if part.casefold() in SPLIT_FOLDERS), "")


def unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of an image; FormatError when they are too many, encrypted or damaged."""
    if info.file_size > image.MAX_BYTES or _is_bomb(info.file_size, info.compress_size):
        raise FormatError(f"The file is too large: {info.file_size:,} bytes unpacked.")
    with entry(archive, info) as file, unpacking():
        # The directory may lie about sizes: never take more than was announced.
        data = file.read(info.file_size + 1)
    if len(data) > info.file_size:
        raise FormatError("The file is larger than the archive says.")
    return data


@contextmanager
def entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """A file of the archive; read it within `unpacking`. FormatError when it cannot be opened."""
    if info.flag_bits & 0x1:
        raise FormatError("The file is encrypted.")
    with unpacking():
        file = archive.open(info)
    with file:
        yield file


@contextmanager
def unpacking() -> Iterator[None]:
    """What damaged archives raise, in words."""
    try:
        yield
    except BROKEN as error:
        told = str(error).rstrip(".") or "it ends too soon"
        raise FormatError(f"The file cannot be unpacked: {told}.") from error


def is_archive(source: Source) -> bool:
    """Whether it looks like a zip archive, damaged or not."""
    try:
        return zipfile.is_zipfile(source.path)
    except BROKEN:
        return False


def opened(source: Source) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(source.path)
    except BROKEN as error:
        raise FormatError(f"This is no zip archive that can be read: {error}.") from error
    if len(archive.filelist) > MAX_ENTRIES:
        archive.close()
        raise FormatError(f"The archive has {len(archive.filelist):,} entries; {MAX_ENTRIES:,} are allowed.")
    total = sum(info.file_size for info in archive.filelist)
    if _is_bomb(total, source.size):
        archive.close()
        raise FormatError(f"The archive would unpack to {total:,} bytes: far more than images do.")
    return archive


def _is_bomb(unpacked: int, packed: int) -> bool:
    return unpacked > RATIO_FREE_BYTES and unpacked > MAX_RATIO * max(packed, 1)


FORMAT = Format(
    key="zip",
    title="Images in class folders (zip)",
    modalities=IMAGE,
    extensions=(".zip",),
    inspect=inspect,
    read=read,
    asks=frozenset({"folder_labels"}),
    write=class_folders.write,
    holds=class_folders.HOLDS,
    tasks=frozenset({"single"}),
    about="Each image in the folder of its agreed class, as most trainers of classifiers read them.",
)
