"""Predictions of models from elsewhere: taken in row by row, read again by source. They never become answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count, Max

from annotator.items.models import ImportedPrediction, Item
from annotator.items.services import add_predictions
from annotator.projects.models import Project

MOST = 1_000  # rows of one call


def push(project: Project, *, source: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keep the good rows, say what is wrong with the others: {"stored", "rejected", "errors": [{index, reason}]}."""
    known = {c.key for c in project.schema.active_classes()}
    items = _items(project, rows)
    good, errors = [], []
    for index, row in enumerate(rows):
        item = items.get(_name(row))
        reason = _wrong_classes(row.get("classes"), known)
        if item is None:
            errors.append({"index": index, "reason": _no_item(row)})
        elif reason:
            errors.append({"index": index, "reason": reason})
        else:
            good.append((item, {key: float(p) for key, p in row["classes"].items()}))
    stored = add_predictions(project_id=project.pk, source=source, rows=good)
    return {"stored": stored, "rejected": len(errors), "errors": errors}


def page(project: Project, *, source: str, after: int, size: int) -> dict[str, Any]:
    """A page of what a source said, by row, as selectors.predictions_page gives it."""
    found = list(
        ImportedPrediction.objects.filter(item__project=project, source=source, item__row__gt=after)
        .order_by("item__row")
        .values_list("item_id", "item__row", "item__external_id", "classes")[: size + 1]
    )
    results = [
        {"item": item, "row": row, "external_id": external_id, "classes": classes}
        for item, row, external_id, classes in found[:size]
    ]
    following = results[-1]["row"] if len(found) > size else None
    return {"model": None, "round": None, "source": source, "results": results, "next_after": following}


def sources(project: Project) -> list[dict[str, Any]]:
    """Each source with the number of its items and the time of its latest push."""
    found = ImportedPrediction.objects.filter(item__project=project).values("source")
    counted = found.annotate(count=Count("pk"), latest=Max("created_at")).order_by("source")
    return [dict(each) for each in counted]


def _items(project: Project, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, Any], int]:
    """The ids of the items that the rows name, in two queries."""
    names = {_name(row) for row in rows}
    mine = Item.objects.filter(project=project)
    ids = [value for kind, value in names if kind == "item"]
    found: dict[tuple[str, Any], int] = {
        ("item", pk): pk for pk in mine.filter(pk__in=ids).values_list("pk", flat=True)
    }
    external = [value for kind, value in names if kind == "external_id"]
    for external_id, pk in mine.filter(external_id__in=external).values_list("external_id", "pk"):
        found["external_id", external_id] = pk
    return found


def _name(row: Mapping[str, Any]) -> tuple[str, Any]:
    """How the row names its item; what can be neither id nor external id names nothing."""
    item, external_id = row.get("item"), row.get("external_id")
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**63:
        return "item", item
    if item is None and isinstance(external_id, str):
        return "external_id", external_id
    return "", ""


def _no_item(row: Mapping[str, Any]) -> str:
    named = row.get("item", row.get("external_id"))
    if named is None:
        return "Give 'item' or 'external_id'."
    return f"There is no item {str(named)[:100]!r} in this project."


def _wrong_classes(classes: Any, known: set[str]) -> str:
    if not isinstance(classes, dict) or not classes:
        return "'classes' must be {class key: probability}."
    if unknown := sorted(set(classes) - known):
        return f"The project has no class {unknown[0][:100]!r}."
    for key, p in classes.items():
        number = isinstance(p, int | float) and not isinstance(p, bool)
        if not number or not math.isfinite(p) or not 0 <= p <= 1:
            return f"The probability of {key!r} must be a number from 0 to 1."
    return ""
