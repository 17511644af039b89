"""Image files as they are. Their names may be paths: the folder of an image may name its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

from annotator.modalities import image
from annotator.transfer.formats.archive import SHOWN_FOLDERS, safe_name, split_of
from annotator.transfer.formats.base import (
    IMAGE,
    PREVIEW_ROWS,
    Format,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)


def inspect(source: Source, given: Options | None) -> Layout:
    return Layout(options=given or Options(), columns=["file"], rows=[[source.name]], entries=1)


def together(layout: Layout, names: Iterable[str], *, guess: bool) -> Layout:
    """The layout of many images, from their names alone; `guess`: several folders are taken for classes."""
    folders: Counter[str] = Counter()
    rows: list[list[str]] = []
    for name in names:
        folders[PurePosixPath(name).parent.name] += 1
        rows.extend([[name]] if len(rows) < PREVIEW_ROWS else [])
    entries = folders.total()
    folders.pop("", None)
    options = replace(layout.options, folder_labels=len(folders) > 1) if guess else layout.options
    shown = [f"{name} ({count:,})" for name, count in islice(folders.most_common(), SHOWN_FOLDERS)]
    return replace(layout, options=options, rows=rows, folders=shown, entries=entries)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    size, name = source.size, safe_name(source.name)
    folder = PurePosixPath(name).parent.name
    if not name:
        yield RowError(line=1, reason="The name is unsafe.", excerpt=repr(source.name)[:200])
    elif size > image.MAX_BYTES:
        yield RowError(
            line=1, reason=f"The file is too large: {size:,} bytes, {image.MAX_BYTES:,} are allowed."
        )
    else:
        yield Row(
            line=1,
            external_id=name,
            written=source.name if source.name != name else "",
            payload=source.path.read_bytes(),
            labels=(folder,) if options.folder_labels and folder else (),
            split=split_of(name) if options.folder_labels else "",
        )
    source.position = size


FORMAT = Format(
    key="images",
    title="Image files",
    modalities=IMAGE,
    extensions=image.EXTENSIONS,
    inspect=inspect,
    read=read,
    asks=frozenset({"folder_labels"}),
)
