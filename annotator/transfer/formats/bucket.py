"""Images in an S3-style storage. The uploaded file is ours: it names the storage and the prefix.

Objects are listed once, into a file beside it, so that an import that is taken up again counts the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from annotator.common import storages
from annotator.common.errors import AnnotatorError
from annotator.modalities import image
from annotator.transfer.formats.archive import split_of
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

MAX_OBJECTS = 5_000_000
MAX_KEY = 500


def inspect(source: Source, given: Options | None) -> Layout:
    found, prefix = _chosen(source)
    try:
        first = list(islice(_images(found, prefix, storages.LOOK_SECONDS), PREVIEW_ROWS))
    except AnnotatorError as error:
        raise FormatError(error.message) from error
    if not first:
        raise FormatError(f"There is no image under “{prefix}” in the storage “{found.name}”.")
    rows = [[each.key, PurePosixPath(each.key).parent.name] for each in first]
    return Layout(options=given or Options(), columns=["object", "folder"], rows=rows)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    found, prefix = _chosen(source)
    listing = listing_of(source.path)
    if not listing.exists():
        try:
            _write(listing, found, prefix)
        except AnnotatorError as error:
            raise FormatError(error.message) from error
    total, size = listing.stat().st_size, source.size
    with listing.open(encoding="utf-8") as lines:
        for number, line in enumerate(iter(lines.readline, ""), start=1):
            source.position = round(size * lines.tell() / max(total, 1))
            key, length = json.loads(line)
            yield _row(number, found, key, length, options)


def listing_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.listing")


def _row(number: int, found: storages.Storage, key: str, size: int, options: Options) -> Row | RowError:
    if len(key) > MAX_KEY or not key.isprintable():
        return RowError(
            line=number, reason="The key is too long, or contains control characters.", excerpt=key[:200]
        )
    if size > image.MAX_BYTES:
        reason = f"The file is too large: {size:,} bytes, {image.MAX_BYTES:,} are allowed."
        return RowError(line=number, reason=reason, excerpt=key)
    location = storages.location_of(found, key)
    folder = PurePosixPath(key).parent.name
    return Row(
        line=number,
        external_id=key,
        labels=(folder,) if options.folder_labels and folder else (),
        split=split_of(key) if options.folder_labels else "",
        fetch=location,
        location=location if options.by_reference else "",
    )


def _images(
    found: storages.Storage, prefix: str, timeout: float = storages.LISTING_SECONDS
) -> Iterator[storages.Stored]:
    objects = storages.list_objects(found, prefix, timeout=timeout)
    return (each for each in objects if each.key.lower().endswith(image.EXTENSIONS))


def _write(listing: Path, found: storages.Storage, prefix: str) -> None:
    fresh = listing.with_name(f"{listing.name}.part")
    with fresh.open("w", encoding="utf-8") as lines:
        for count, each in enumerate(_images(found, prefix), start=1):
            if count > MAX_OBJECTS:
                raise FormatError(f"There are more than {MAX_OBJECTS:,} images: choose a longer prefix.")
            lines.write(json.dumps([each.key, each.size]) + "\n")
    fresh.replace(listing)


def _chosen(source: Source) -> tuple[storages.Storage, str]:
    try:
        chosen = json.loads(source.path.read_text(encoding="utf-8"))
        return storages.storage(chosen["storage"]), str(chosen["prefix"])
    except AnnotatorError as error:
        raise FormatError(error.message) from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError("This is no choice of a storage.") from error


FORMAT = Format(
    key="bucket",
    title="Images in an S3-style storage",
    modalities=IMAGE,
    extensions=(),
    inspect=inspect,
    read=read,
    asks=frozenset({"folder_labels"}),
    fetches=True,
)
