"""Formats that can be read or written: one file each. The registry below is the only list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from annotator.transfer.formats import (
    archive,
    argilla,
    bucket,
    delimited,
    doccano,
    excel,
    fasttext,
    huggingface,
    jsonl,
    label_studio,
    native,
    parquet,
    pictures,
    plain,
    urls,
)
from annotator.transfer.formats.base import Format, FormatError, Layout, Options, Row, RowError, Source

FORMATS: Mapping[str, Format] = {
    each.key: each
    for each in (
        native.FORMAT,
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
        huggingface.PARQUET,
        huggingface.FOLDER,
        label_studio.FORMAT,
        doccano.FORMAT,
        fasttext.FORMAT,
        argilla.FORMAT,
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
    "export_formats",
    "extensions",
    "format_of",
    "recognised",
]


def extensions(modality: str) -> list[str]:
    """Endings of the files that a project of this modality takes."""
    return list(dict.fromkeys(ending for each in _readers(modality) for ending in each.extensions))


def format_of(names: Iterable[str], modality: str) -> Format:
    """The one format of all these files by their endings; FormatError when they have none, several, or one of another modality.

    Where several formats share the ending it is the general one: `recognised` tells once the files can be looked into.
    """
    found: set[str] = set()
    for name in names:
        known = [each for each in FORMATS.values() if name.lower().endswith(each.extensions)]
        if not known:
            raise FormatError(f"“{name}” is of no known kind; known are {', '.join(extensions(modality))}.")
        fitting = [each for each in known if modality in each.modalities]
        if not fitting:
            raise FormatError(f"“{name}” does not fit: this project takes {', '.join(extensions(modality))}.")
        general = [each for each in fitting if each.recognises is None]
        found.add((general or fitting)[0].key)
    if len(found) != 1:
        raise FormatError("Import files of one kind at a time." if found else "Choose a file.")
    return FORMATS[found.pop()]


def recognised(sources: Sequence[Source], modality: str) -> Format:
    """The one format of all these files by what is in them; FormatError as format_of.

    A file that no format recognises is of the general format of its ending; where there is none it fits nothing.
    """
    found: set[str] = set()
    for source in sources:
        general = format_of([source.name], modality)
        special = [
            each
            for each in _readers(modality)
            if each.recognises is not None and source.name.lower().endswith(each.extensions)
        ]
        mine = next((each for each in special if each.recognises and each.recognises(source)), general)
        if mine.recognises is not None and not mine.recognises(source):
            raise FormatError(f"“{source.name}” holds nothing that is known: no {mine.title}.")
        found.add(mine.key)
    if len(found) != 1:
        raise FormatError("Import files of one kind at a time." if found else "Choose a file.")
    return FORMATS[found.pop()]


def export_formats(*, modality: str, task: str) -> list[Format]:
    """Formats that a project of this kind can be exported to."""
    return [each for each in FORMATS.values() if each.writes(modality=modality, task=task)]


def _readers(modality: str) -> list[Format]:
    return [each for each in FORMATS.values() if modality in each.modalities]
