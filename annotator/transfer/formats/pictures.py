"""Image files as they are."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from annotator.modalities import image
from annotator.transfer.formats.base import IMAGE, Format, Layout, Options, Row, RowError, Source


def inspect(source: Source, given: Options | None) -> Layout:
    return Layout(options=given or Options(), columns=["file"], rows=[[source.name]], entries=1)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    size = source.size
    if size > image.MAX_BYTES:
        yield RowError(
            line=1, reason=f"The file is too large: {size:,} bytes, {image.MAX_BYTES:,} are allowed."
        )
    else:
        data = source.path.read_bytes()
        yield Row(line=1, external_id=unicodedata.normalize("NFC", source.name), payload=data)
    source.position = size


FORMAT = Format(
    key="images",
    title="Image files",
    modalities=IMAGE,
    extensions=image.EXTENSIONS,
    inspect=inspect,
    read=read,
)
