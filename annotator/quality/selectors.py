"""What the quality pages and the API show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.urls import reverse

from annotator.accounts.models import User
from annotator.common.errors import NotFound
from annotator.items.models import Item
from annotator.labeling.models import Annotation
from annotator.labeling.statements import from_json
from annotator.projects.models import LabelSchema, Project
from annotator.quality.models import Case, Check, Decision, GoldItem, QualitySettings, Report
from annotator.quality.services import open_cases

GOLD = """
SELECT count(*), count(*) FILTER (WHERE a.regions->0->'classes' = g.classes)
FROM quality_golditem g
JOIN labeling_annotation a ON a.item_id = g.item_id AND a.current AND a.state = 'submitted'
WHERE g.project_id = %s
"""


def settings_or_default(project: Project) -> QualitySettings:
    """The stored settings, else unsaved defaults: looking changes nothing."""
    return QualitySettings.objects.filter(project=project).first() or QualitySettings(project=project)


def report_of(project: Project) -> dict[str, Any] | None:
    """The newest report with names in place of numbers; None before the first."""
    report = Report.objects.filter(project=project).first()
    if report is None:
        return None
    data: dict[str, Any] = {"attributable": True} | dict(report.data)
    users = {user.pk: user for user in User.objects.filter(pk__in=[each["user"] for each in data["people"]])}
    data["people"] = [
        each | {"name": users[each["user"]].display_name if each["user"] in users else "somebody"}
        for each in data["people"]
    ]
    names = class_names(project.schema)
    data["confusions"] = [
        each | {"names": [names.get(key, key) for key in each["classes"]]} for each in data["confusions"]
    ]
    return data | {"counted_at": report.counted_at}


def gold_of(report: dict[str, Any] | None) -> dict[str, int]:
    """Answers to gold and how many were right, added up over the people of a report: one count with theirs."""
    people = [each["gold"] for each in report["people"]] if report else []
    answered = [each for each in people if each["n"]]
    return {
        "answers": sum(each["n"] for each in answered),
        "right": sum(round(each["value"] * each["n"]) for each in answered),
    }


def class_names(schema: LabelSchema) -> dict[str, str]:
    return {label.key: label.name for label in schema.classes.all()}


def figures(project: Project, settings: QualitySettings) -> dict[str, Any]:
    """What changes by the minute: open cases, decisions, gold answers, open checks by kind."""
    with connection.cursor() as cursor:
        cursor.execute(GOLD, [project.pk])
        answers, right = cursor.fetchone()
    kinds = list(Check.objects.open().filter(project=project).values_list("kind", flat=True))
    return {
        "cases": open_cases(project.pk, settings.threshold).count(),
        "decisions": Decision.objects.filter(project=project).count(),
        "gold_items": GoldItem.objects.filter(project=project).count(),
        "gold_answers": answers,
        "gold_right": right,
        "checks": {kind: kinds.count(kind) for kind in Check.Kind.values},
        "open_checks": len(kinds),
    }


@dataclass(frozen=True)
class GoldRow:
    """A gold item as a manager sees it: how many people answered it, and how many of them right."""

    item_id: int
    external_id: str
    classes: list[str]
    names: list[str]
    answers: int
    right: int


GOLD_ROWS = """
SELECT g.item_id, i.external_id, g.classes, count(a.id),
       count(a.id) FILTER (WHERE a.regions->0->'classes' = g.classes)
FROM quality_golditem g JOIN items_item i ON i.id = g.item_id
LEFT JOIN labeling_annotation a ON a.item_id = g.item_id AND a.current AND a.state = 'submitted'
WHERE g.project_id = %s AND g.id > %s
GROUP BY g.id, i.external_id ORDER BY g.id LIMIT %s
"""


def gold_rows(project: Project, *, after: int = 0, size: int = 100) -> tuple[list[GoldRow], int | None]:
    """A page of gold items and the key to go on behind."""
    keys = list(
        GoldItem.objects.filter(project=project, pk__gt=after)
        .order_by("pk")
        .values_list("pk", flat=True)[: size + 1]
    )
    names = class_names(project.schema)
    with connection.cursor() as cursor:
        cursor.execute(GOLD_ROWS, [project.pk, after, size])
        rows = cursor.fetchall()
    found = []
    for item_id, external_id, classes, answers, right in rows:
        chosen = list(from_json(classes))
        found.append(
            GoldRow(item_id, external_id, chosen, [names.get(key, key) for key in chosen], answers, right)
        )
    return found, keys[size - 1] if len(keys) > size else None


def checks(project_id: int) -> QuerySet[Check]:
    return Check.objects.open().filter(project_id=project_id).select_related("item").order_by("position")


def case_document(project: Project, case: Case) -> dict[str, Any]:
    """Everything a reviewer needs: the item, who answered what, how far they agree."""
    item = Item.objects.select_related("asset").get(pk=case.item_id)
    return item_document(project, item) | {
        "agreement": case.agreement,
        "votes": case.votes,
        "confidence": case.confidence,
    }


def item_document(project: Project, item: Item) -> dict[str, Any]:
    """An item with the answers that count, for a reviewer."""
    decision = Decision.objects.filter(item=item).first()
    answers = Annotation.objects.valid().filter(item=item).select_related("annotator").order_by("created_at")
    content: dict[str, Any] = {"id": item.pk, "row": item.row, "external_id": item.external_id}
    if item.asset is not None:
        content["url"] = reverse("items:asset", args=[project.pk, item.asset_id])
        content["meta"] = {"image": item.meta["image"]} if "image" in item.meta else {}
    else:
        content |= {"text": item.text, "meta": {}}
    return {
        "item": content,
        "answers": [
            {
                "annotator": answer.annotator_id,
                "name": answer.annotator.display_name,
                "classes": [key for region in answer.regions for key in region.get("classes", [])],
                "seconds": answer.seconds,
                "created_at": answer.created_at,
            }
            for answer in answers
        ],
        "decision": None
        if decision is None
        else {"id": decision.pk, "classes": decision.classes, "note": decision.note},
    }


def item_in(project: Project, item_id: int) -> Item:
    found = Item.objects.filter(project=project, pk=item_id).select_related("asset").first()
    if found is None:
        raise NotFound("There is no such item in this project.")
    return found
