"""Formats that can be imported: one file each. The registry below is the only list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from annotator.transfer.formats import (
    archive,
    bucket,
    delimited,
    excel,
    jsonl,
    parquet,
    pictures,
    plain,
    urls,
)
from annotator.transfer.formats.base import Format, FormatError, Layout, Options, Row, RowError, Source

FORMATS: Mapping[str, Format] = {
    each.key: each
    for each in (
        delimited.CSV,
        delimited.TSV,
        jsonl.FORMAT,
        plain.FORMAT,
        parquet.FORMAT,
        excel.FORMAT,
        archive.FORMAT,
        pictures.FORMAT,
        urls.FORMAT,
        bucket.FORMAT,
    )
}

__all__ = [
    "FORMATS",
    "Format",
    "FormatError",
    "Layout",
    "Options",
    "Row",
    "RowError",
    "Source",
    "extensions",
    "format_of",
]


def extensions(modality: str) -> list[str]:
    """Endings of the files that a project of this modality takes."""
    return [ending for each in FORMATS.values() if each.modality == modality for ending in each.extensions]


def format_of(names: Iterable[str], modality: str) -> Format:
    """The one format of all these files; FormatError when they have none, several, or one of another modality."""
    found: set[str] = set()
    for name in names:
        known = [each for each in FORMATS.values() if name.lower().endswith(each.extensions)]
        if not known:
            raise FormatError(f"“{name}” is of no known kind; known are {', '.join(extensions(modality))}.")
        if known[0].modality != modality:
            raise FormatError(f"“{name}” does not fit: this project takes {', '.join(extensions(modality))}.")
        found.add(known[0].key)
    if len(found) != 1:
        raise FormatError("Import files of one kind at a time." if found else "Choose a file.")
    return FORMATS[found.pop()]
