"""Lists of addresses of images: a table with a column of them, JSON lines, or one a line. Reading fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from annotator.common.storages import PREFIX
from annotator.transfer.formats import delimited, jsonl, plain
from annotator.transfer.formats.base import (
    EXCERPT,
    IMAGE,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)

MAX_ID = 500
NO_ADDRESS = "Only addresses that begin with http:// or https:// can be asked."
# Names under which people keep addresses, best first.
GUESSES = (
    "url",
    "image_url",
    "image",
    "uri",
    "link",
    "href",
    "src",
    "photo",
    "picture",
    "file",
    "path",
    "text",
)
READERS = {
    ".csv": delimited.CSV,
    ".tsv": delimited.TSV,
    ".tab": delimited.TSV,
    ".jsonl": jsonl.FORMAT,
    ".ndjson": jsonl.FORMAT,
    ".txt": plain.FORMAT,
}


def inspect(source: Source, given: Options | None) -> Layout:
    layout = _reader(source).inspect(source, given)
    if given is not None and given.text in layout.columns:
        return layout
    column = _guessed(layout)
    if not column:
        raise FormatError("No column holds addresses that begin with http:// or https://.")
    return replace(layout, options=replace(layout.options, text=column))


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    reader = _reader(source)
    text = options if reader is not plain.FORMAT else replace(options, text="text")
    for row in reader.read(source, text):
        if isinstance(row, RowError):
            reason = row.reason.replace("The text is empty.", "The address is empty.")
            yield replace(row, reason=reason)
        elif (url := (row.text or "").strip()).startswith(PREFIX):
            # Storages are chosen by name and prefix, not talked about in lists.
            yield RowError(line=row.line, reason=NO_ADDRESS, excerpt=url[:EXCERPT])
        else:
            name = row.external_id or (url if len(url) <= MAX_ID else "")
            kept = url if options.by_reference else ""
            yield replace(row, text=None, external_id=name, fetch=url, location=kept)


def _guessed(layout: Layout) -> str:
    """The column whose cells look like addresses, rather one that is called so."""

    def share(n: int) -> float:
        cells = [row[n] for row in layout.rows if row[n]]
        return sum(cell.strip().lower().startswith(("http://", "https://")) for cell in cells) / max(
            len(cells), 1
        )

    best = [name for n, name in enumerate(layout.columns) if share(n) > 0.5]
    by_name = {name.strip().lower(): name for name in reversed(best)}
    if not best and len(layout.columns) == 1:
        return layout.columns[0]
    return next((by_name[name] for name in GUESSES if name in by_name), best[0] if best else "")


def _reader(source: Source) -> Format:
    name = source.name.lower()
    for ending, reader in READERS.items():
        if name.endswith(ending):
            return reader
    raise FormatError(f"A list of addresses is one of {', '.join(READERS)}.")


FORMAT = Format(
    key="urls",
    title="List of addresses (URLs) of images",
    modalities=IMAGE,
    extensions=(),
    inspect=inspect,
    read=read,
    asks=frozenset({"encoding"}),
    fetches=True,
    tabular=True,
)
