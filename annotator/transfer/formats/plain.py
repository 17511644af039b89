"""Plain text: one text a line, blank lines left out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from annotator.transfer.formats.base import (
    EXCERPT,
    PREVIEW_ROWS,
    TEXT,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.characters import detect_encoding, lines


def inspect(source: Source, given: Options | None) -> Layout:
    options = given or Options(encoding=detect_encoding(source))
    rows = [row.text or "" for row in islice(read(source, options), PREVIEW_ROWS) if isinstance(row, Row)]
    if not rows:
        raise FormatError("There is no line with text.")
    return Layout(options=options, columns=["text"], rows=[[text] for text in rows])


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for number, (line, whole) in enumerate(lines(source, options.encoding), start=1):
        if not whole:
            yield RowError(line=number, reason="The line is too long.", excerpt=line[:EXCERPT])
        elif text := line.strip():
            yield Row(line=number, text=text)


FORMAT = Format(
    key="txt",
    title="Plain text, one a line",
    modalities=TEXT,
    extensions=(".txt",),
    inspect=inspect,
    read=read,
    asks=frozenset({"encoding"}),
)
