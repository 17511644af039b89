"""JSON lines of doccano: id, text, label (a list of class names), other columns as metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from annotator.transfer.formats.base import TEXT, Format, Layout, Options, Row, RowError, Source
from annotator.transfer.formats.parts import (
    first_object,
    json_line,
    json_objects,
    names_of,
    preview,
    text_row,
)
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

NAME = "doccano.jsonl"
OWN = frozenset({"id", "text", "data", "label", "labels", "external_id", "Comments", "split"})


def write(items: Iterable[ExportItem], target: Target) -> None:
    file, names = target.open(NAME), target.context.names
    for item in items:
        meta = {key: value for key, value in item.meta.items() if key not in OWN}
        target.losses.add("columns", len(item.meta) - len(meta))
        record = {
            "id": item.row + 1,
            "text": item.text,
            "label": [names.get(key, key) for key in item.consensus or ()],
            "external_id": item.external_id,
            "split": item.part,
            **meta,
        }
        file.write(json_line(record))


def recognises(source: Source) -> bool:
    """A text with a list of labels, all names: spans and plain columns are something else."""
    first = first_object(source)
    labels = first.get("label", first.get("labels"))
    text = first.get("text", first.get("data"))
    if "id" not in first or not isinstance(text, str) or not isinstance(labels, list):
        return False
    return all(isinstance(each, str) for each in labels)


def inspect(source: Source, given: Options | None) -> Layout:
    return preview(source, read(source, given or Options()), given)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for number, value in json_objects(source):
        if isinstance(value, RowError):
            yield value
            continue
        labels = value.get("label", value.get("labels"))
        if isinstance(labels, list) and labels and isinstance(labels[0], list):
            yield RowError(line=number, reason="Its labels are spans; classes of whole texts can be read.")
            continue
        yield text_row(
            number,
            text=value.get("text", value.get("data")),
            labels=names_of(labels),
            external_id=value.get("external_id"),
            split=str(value.get("split") or ""),
            meta={key: each for key, each in value.items() if key not in OWN and each not in ("", None)},
        )


FORMAT = Format(
    key="doccano",
    title="doccano JSON lines",
    modalities=TEXT,
    extensions=(".jsonl",),
    inspect=inspect,
    read=read,
    recognises=recognises,
    write=write,
    holds=frozenset({"unlabelled", "ids", "splits", "meta"}),
    plain=NAME,
    about="The agreed classes by name; metadata become columns.",
)
