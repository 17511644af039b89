"""What a record of a native export must be like before it may stand in the database. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from annotator.common.errors import AnnotatorError
from annotator.items.models import Item
from annotator.labeling.models import Annotation
from annotator.modalities import ModalityError, text
from annotator.projects.models import Project
from annotator.regions import parse_regions
from annotator.transfer.formats.parts import scores_of
from annotator.transfer.records import ExportItem

ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class RestoreFailed(AnnotatorError):
    """The file is no whole export; the text says where and why."""

    code, status = "restore_failed", 422


def checked_record(line: bytes, project: Project, keys: Mapping[int, frozenset[str]]) -> ExportItem:
    """The record of a line; RestoreFailed unless all of it may stand in the database."""
    try:
        if ESCAPED_NUL.search(line):
            raise ValueError("it contains a NUL character")
        item = ExportItem.from_line(line)
        _check_content(item)
        if item.split not in Item.Split.values or not isinstance(item.meta, dict):
            raise ValueError("its split or its metadata are wrong")
        if not isinstance(item.external_id, str) or not item.external_id or len(item.external_id) > 500:
            raise ValueError("its id is missing or too long")
        if not _is_whole(item.row) or not 0 <= item.row < 2**31 - 1:
            raise ValueError("its row is no row")
        for moment in _moments(item):
            datetime.fromisoformat(moment)
        _check_answers(item, project, keys)
        _check_others(item)
        _check_truths(item, project, keys)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        shown = line[:100].decode("utf-8", "replace")
        raise RestoreFailed(
            f"A record cannot be restored: {words_of(error)}.", hint=f"It begins {shown}"
        ) from error
    return item


def words_of(error: Exception) -> str:
    """What is wrong with a value, for people."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, TypeError | AttributeError | OverflowError | RecursionError):
        return "a part is not of the kind that belongs there"
    told = (str(error).splitlines() or [""])[0][:200].rstrip(".")
    return "".join(c if c.isprintable() else "�" for c in told)


def last_row(items: list[ExportItem], before: int) -> int:
    """The last of the rows, which must ascend: the next free one is counted from it."""
    for item in items:
        if item.row <= before:
            raise RestoreFailed(f"Row {item.row} stands behind row {before}: the records are not in order.")
        before = item.row
    return before


def _check_content(item: ExportItem) -> None:
    if (item.text is None) == (item.asset is None):
        raise ValueError("it needs either a text or an image")
    try:
        digest = item.asset["digest"] if item.asset is not None else text.probe(item.text or "").digest
    except ModalityError as error:
        raise ValueError(str(error)) from error
    if not re.fullmatch("[0-9a-f]{64}", item.content_hash) or item.content_hash != digest:
        raise ValueError("its content hash is not that of its content")


def _moments(item: ExportItem) -> Iterator[str]:
    """Every time in a record: PostgreSQL would also take words such as 'tomorrow'."""
    yield item.created_at
    if item.archived_at is not None:
        yield item.archived_at
    yield from (vote.created_at for vote in item.votes)
    parts = [
        *item.skips,
        *item.predictions,
        *item.truths,
        *([item.imported_label] if item.imported_label else []),
    ]
    yield from (each["created_at"] for each in parts)
    if item.asset is not None:
        yield item.asset["created_at"]


def _check_answers(item: ExportItem, project: Project, keys: Mapping[int, frozenset[str]]) -> None:
    for vote in item.votes:
        if vote.schema_version not in keys:
            raise ValueError(f"there is no version {vote.schema_version} of the classes")
        parsed = parse_regions(vote.regions, classes=keys[vote.schema_version], task=project.task)
        if parsed != vote.regions or vote.state not in Annotation.State.values:
            raise ValueError("an answer is not in its canonical form")
        if not isinstance(vote.annotator, str) or not isinstance(vote.current, bool):
            raise ValueError("an answer does not say whose it is or whether it counts")
        if not _is_whole(vote.revision) or not (vote.seconds is None or _is_number(vote.seconds)):
            raise ValueError("a number of an answer is none")
        _check_objects(vote.served, vote.suggestion)


def _check_others(item: ExportItem) -> None:
    for skip in item.skips:
        if skip["policy"] not in Project.SkipPolicy.values or not isinstance(skip["withdrawn"], bool):
            raise ValueError("a skip is wrong")
        if not isinstance(skip["annotator"], str) or not _is_text(skip["reason"], 500):
            raise ValueError("a skip is wrong")
        _check_objects(skip["served"], None)
    if item.imported_label is not None:
        classes = item.imported_label["classes"]
        if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
            raise ValueError("its imported label is wrong")
        if not isinstance(item.imported_label["source"], str):
            raise ValueError("the source of its imported label is wrong")
    for each in item.predictions:
        _check_objects(each["classes"], None)
        if not isinstance(each["source"], str) or scores_of(each["classes"]).keys() != each["classes"].keys():
            raise ValueError("a prediction is not a finite number for each class")


def _check_truths(item: ExportItem, project: Project, keys: Mapping[int, frozenset[str]]) -> None:
    known = frozenset().union(*keys.values())
    for truth in item.truths:
        parse_regions([{"kind": "choice", "classes": truth["classes"]}], classes=known, task=project.task)
        if truth["kind"] not in ("decision", "gold") or not _is_text(truth["note"], 500):
            raise ValueError("a decision is wrong")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_text(value: Any, length: int) -> bool:
    return isinstance(value, str) and len(value) <= length


def _check_objects(first: Any, second: Any) -> None:
    if not isinstance(first, dict) or not (second is None or isinstance(second, dict)):
        raise ValueError("a part that should be an object is none")
