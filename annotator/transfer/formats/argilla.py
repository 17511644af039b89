"""Records as Argilla has them: fields, metadata, suggestions and responses, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from annotator.transfer.formats.base import TEXT, Format, Layout, Options, Row, RowError, Source
from annotator.transfer.formats.parts import (
    first_object,
    json_line,
    json_objects,
    majority,
    names_of,
    preview,
    scores_of,
    text_row,
)
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

NAME = "argilla.jsonl"
QUESTION = "label"


def write(items: Iterable[ExportItem], target: Target) -> None:
    """Every answer that counts is a response; the first prediction of another model is the suggestion."""
    file, names, multi = target.open(NAME), target.context.names, target.context.multi

    def value(keys: list[str]) -> Any:
        found = [names.get(key, key) for key in keys]
        return found if multi else next(iter(found), None)

    for item in items:
        responses = [
            {"value": value(vote.classes), "user_id": vote.annotator, "status": "submitted"}
            for vote in item.answers
        ]
        record: dict[str, Any] = {
            "id": item.external_id,
            "status": "completed" if responses else "pending",
            "fields": {"text": item.text},
            "metadata": {**item.meta, "split": item.part},
            "suggestions": {},
            "responses": {QUESTION: responses} if responses else {},
        }
        target.losses.add("columns", "split" in item.meta)
        if item.predictions:
            target.losses.add("predictions", len(item.predictions) - 1)
            record["suggestions"] = {QUESTION: _suggestion(item.predictions[0], multi=multi)}
        file.write(json_line(record))


def recognises(source: Source) -> bool:
    first = first_object(source)
    return isinstance(first.get("fields"), dict) and bool({"responses", "suggestions"} & first.keys())


def inspect(source: Source, given: Options | None) -> Layout:
    return preview(source, read(source, given or Options()), given)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for number, value in json_objects(source):
        yield value if isinstance(value, RowError) else _row(number, value)


def _row(number: int, value: dict[str, Any]) -> Row | RowError:
    fields = value.get("fields")
    if not isinstance(fields, dict):
        return RowError(line=number, reason="There are no fields.")
    text = fields.get("text", next((each for each in fields.values() if isinstance(each, str)), None))
    metadata = value.get("metadata")
    meta = dict(metadata) if isinstance(metadata, dict) else {}
    answers = [names_of(each) for each in _responses(value.get("responses"))]
    if None in answers:
        return RowError(line=number, reason="A response is no class name.")
    return text_row(
        number,
        text=text,
        labels=majority([each for each in answers if each is not None]),
        external_id=value.get("id"),
        split=str(meta.pop("split", "") or ""),
        meta=meta,
        predictions=_predictions(value.get("suggestions")),
    )


def _responses(value: Any) -> Iterator[Any]:
    """Values of submitted responses to the first question, in either of the two shapes that are in use."""
    if isinstance(value, dict):
        for each in next((found for found in value.values() if isinstance(found, list)), []):
            if isinstance(each, dict) and each.get("status", "submitted") == "submitted":
                yield each.get("value")
    elif isinstance(value, list):
        for each in value:
            values = each.get("values") if isinstance(each, dict) else None
            if isinstance(values, dict) and each.get("status") == "submitted":
                yield next((v.get("value") for v in values.values() if isinstance(v, dict)), None)


def _predictions(value: Any) -> dict[str, dict[str, float]]:
    found = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    predictions: dict[str, dict[str, float]] = {}
    for each in found:
        if not isinstance(each, dict) or (names := names_of(each.get("value"))) is None:
            continue
        scores = each.get("score")
        listed = scores if isinstance(scores, list) and len(scores) == len(names) else [scores] * len(names)
        known = scores_of(dict(zip(names, [1.0 if s is None else s for s in listed], strict=True)))
        if known:
            predictions[str(each.get("agent") or "suggestion")[:200]] = known
    return predictions


def _suggestion(prediction: dict[str, Any], *, multi: bool) -> dict[str, Any]:
    classes: dict[str, float] = prediction["classes"]
    ordered = sorted(classes, key=lambda name: (-classes[name], name))
    if multi:
        chosen = [name for name in ordered if classes[name] >= 0.5] or ordered[:1]
        return {
            "value": chosen,
            "score": [classes[name] for name in chosen],
            "agent": prediction["source"],
        }
    return {
        "value": next(iter(ordered), None),
        "score": classes[ordered[0]] if ordered else None,
        "agent": prediction["source"],
    }


FORMAT = Format(
    key="argilla",
    title="Argilla records",
    modalities=TEXT,
    extensions=(".jsonl",),
    inspect=inspect,
    read=read,
    recognises=recognises,
    write=write,
    holds=frozenset({"votes", "unlabelled", "ids", "splits", "meta", "predictions"}),
    plain=NAME,
    about="Each person's answer as a response, under their pseudonym; the most likely class of one prediction as suggestion.",
)
