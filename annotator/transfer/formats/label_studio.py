"""Tasks of Label Studio as JSON: data, annotations of people, predictions; choices for the whole item."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from annotator.transfer.formats.base import (
    IMAGE,
    TEXT,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.parts import (
    beginning,
    majority,
    names_of,
    picture_name,
    preview,
    scores_of,
    text_row,
)
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

NAME = "tasks.json"
CONFIG = "label_config.xml"
FROM = "label"
PICTURES = "images"
# How its tasks name files of a folder that its server was started with as the root of local files.
LOCAL_FILES = "/data/local-files/?d="
PIECE = 2**18
MAX_TASK = 64 * 2**20  # characters of one task


def write(items: Iterable[ExportItem], target: Target) -> None:
    """A list of tasks, and the labelling configuration that fits them. People become numbers, as Label Studio has them."""
    file, context = target.open(NAME), target.context
    target.open(CONFIG).write(_config(target).encode())
    people: dict[str, int] = {}
    file.write(b"[")
    first = True
    for item in items:
        task = _task(item, context.names, people)
        text = json.dumps(task, ensure_ascii=False, separators=(",", ":"))
        file.write(f"{'' if first else ','}\n{text}".encode())
        first = False
        if item.asset is not None:
            target.asset(_picture(item), item.asset)
    file.write(b"\n]\n")
    target.losses.add("pseudonyms", len(people))


def recognises(source: Source) -> bool:
    """A list of objects with `data`; the first is looked at."""
    return beginning(source).lstrip().startswith("[") and _has_data(source)


def inspect(source: Source, given: Options | None) -> Layout:
    return preview(source, read(source, given or Options()), given)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for number, task in enumerate(_tasks(source), start=1):
        yield _row(number, task)


def _task(item: ExportItem, names: dict[str, str], people: dict[str, int]) -> dict[str, Any]:
    def result(keys: Iterable[str]) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{item.row}",
                "type": "choices",
                "from_name": FROM,
                "to_name": "text" if item.asset is None else "image",
                "value": {"choices": [names.get(key, key) for key in keys]},
            }
        ]

    def by(pseudonym: str) -> int:
        return people.setdefault(pseudonym, len(people) + 1)

    annotations: list[dict[str, Any]] = [
        {
            "completed_by": by(vote.annotator),
            "was_cancelled": False,
            "lead_time": vote.seconds,
            "created_at": vote.created_at,
            "result": result(vote.classes),
        }
        for vote in item.answers
    ]
    annotations += [
        {
            "completed_by": by(skip["annotator"]),
            "was_cancelled": True,
            "created_at": skip["created_at"],
            "result": [],
        }
        for skip in item.skips
        if not skip["withdrawn"]
    ]
    predictions = []
    for each in item.predictions:
        best = max(each["classes"], key=each["classes"].get, default=None)
        predictions.append(
            {
                "model_version": each["source"],
                "score": each["classes"].get(best),
                "result": result([best] if best else []),
                "classes": each["classes"],
            }
        )
    return {
        "id": item.row + 1,
        "data": {**_content(item), "external_id": item.external_id, "split": item.part},
        "meta": item.meta,
        "annotations": annotations,
        "predictions": predictions,
    }


def _content(item: ExportItem) -> dict[str, Any]:
    if item.asset is None:
        return {"text": item.text}
    return {"image": f"{LOCAL_FILES}{_picture(item)}"}


def _picture(item: ExportItem) -> str:
    return f"{PICTURES}/{picture_name(item)}"


def _config(target: Target) -> str:
    context = target.context
    kind = context.modality
    choices = "\n".join(f"    <Choice value={quoteattr(label.name)}/>" for label in context.labels)
    how = "multiple" if context.multi else "single"
    return (
        f'<View>\n  <{kind.title()} name="{kind}" value="${kind}"/>\n'
        f'  <Choices name="{FROM}" toName="{kind}" choice="{how}">\n{choices}\n  </Choices>\n</View>\n'
    )


def _row(number: int, task: Any) -> Row | RowError:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        return RowError(line=number, reason="This is no task: it has no data.")
    data = task["data"]
    texts = [data["text"]] if "text" in data else [v for v in data.values() if isinstance(v, str)]
    answers = []
    for each in _list(task.get("annotations")):
        if not each.get("was_cancelled"):
            found = _choices(each)
            if found is None:
                return RowError(line=number, reason="An annotation is no choice of classes.")
            answers.append(found)
    predictions = {}
    for each in _list(task.get("predictions")):
        if scores := _scores(each):
            predictions[str(each.get("model_version") or "prediction")[:200]] = scores
    meta = task.get("meta")
    return text_row(
        number,
        text=texts[0] if texts else None,
        labels=majority(answers),
        external_id=data.get("external_id"),
        split=str(data.get("split") or ""),
        meta=meta if isinstance(meta, dict) else {},
        predictions=predictions,
    )


def _choices(annotation: dict[str, Any]) -> tuple[str, ...] | None:
    """Chosen names; None where there are results of another type only."""
    results = _list(annotation.get("result"))
    chosen = [each for each in results if each.get("type") == "choices"]
    if results and not chosen:
        return None
    value = chosen[0].get("value") if chosen else {}
    return names_of(value.get("choices") if isinstance(value, dict) else None)


def _scores(prediction: dict[str, Any]) -> dict[str, float]:
    if known := scores_of(prediction.get("classes")):
        return known
    score = prediction.get("score")
    names = _choices(prediction) or ()
    return scores_of(dict.fromkeys(names, 1.0 if score is None else score))


def _list(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _has_data(source: Source) -> bool:
    try:
        first = next(_tasks(source), None)
    except FormatError:
        return False
    return isinstance(first, dict) and isinstance(first.get("data"), dict)


def _tasks(source: Source) -> Iterator[Any]:
    """The list's elements one by one: files of any length are read in constant memory."""
    decoder, buffer, started, ended = json.JSONDecoder(), "", False, False
    with (
        source.path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        while True:
            buffer = buffer.lstrip(" \t\r\n," if started else " \t\r\n")
            if not started and buffer:
                if not buffer.startswith("["):
                    raise FormatError("This is no list of tasks.")
                started, buffer = True, buffer[1:]
                continue
            if buffer.startswith("]"):
                return
            if buffer and (ended or len(buffer) >= PIECE):
                try:
                    value, end = decoder.raw_decode(buffer)
                except (ValueError, RecursionError) as error:
                    if ended or len(buffer) > MAX_TASK:
                        raise FormatError(f"The list of tasks cannot be read further: {error}.") from error
                else:
                    yield value
                    buffer = buffer[end:]
                    continue
            if ended:
                raise FormatError("The list of tasks does not end.")
            piece = file.read(max(PIECE, len(buffer)))
            source.position = raw.tell()
            buffer, ended = buffer + piece, not piece


FORMAT = Format(
    key="labelstudio",
    title="Label Studio JSON",
    modalities=TEXT,
    extensions=(".json",),
    inspect=inspect,
    read=read,
    recognises=recognises,
    write=write,
    holds=frozenset({"votes", "skips", "seconds", "unlabelled", "ids", "splits", "meta", "predictions"}),
    plain=NAME,
    written_for=IMAGE,
    about="Each person's answer as an annotation, skips as cancelled ones, predictions of other models; people are numbers. Images lie in images/, named as local files of its server.",
)
