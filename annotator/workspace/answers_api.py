"""What people did, for those who inspect: answers, skips, an item's history, the figures of the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import LARGEST_PAGE, PAGE, KeyField, page_response, queried
from annotator.common.errors import NotFound
from annotator.common.permissions import READ, needs
from annotator.items.models import Item
from annotator.labeling.models import Annotation, Skip
from annotator.learning.selectors import learning_curve
from annotator.projects.access import INSPECTORS, MANAGERS, can_inspect, require_role
from annotator.projects.models import Role
from annotator.quality import serving
from annotator.workspace import selectors

BETWEEN = "~"  # of time and id in the mark of a page


class TimeField(serializers.CharField):
    """Where a page of things in the order of their time ends: time and id of its last one."""

    def to_internal_value(self, data: Any) -> Any:
        at, _, key = super().to_internal_value(data).partition(BETWEEN)
        try:
            moment, number = parse_datetime(at), UUID(key)
        except (ValueError, OverflowError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError("Pass what `next_after` of the page before said.")
        return moment, number


class WorkQuery(serializers.Serializer[Any]):
    item = KeyField(required=False)
    annotator = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Their user id."
    )
    since = serializers.DateTimeField(required=False, help_text="Not older than this.")
    after = TimeField(required=False, max_length=100, help_text="`next_after` of the page before.")
    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=LARGEST_PAGE)


class AnnotationQuery(WorkQuery):
    state = serializers.ChoiceField(choices=Annotation.State.choices, required=False)
    current = serializers.BooleanField(
        required=False, help_text="Only the newest revision of each person, or only others."
    )
    schema_version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


class SkipQuery(WorkQuery):
    withdrawn = serializers.BooleanField(required=False)


class AnnotationOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item = serializers.IntegerField(source="item_id")
    annotator = serializers.IntegerField(source="annotator_id")
    revision = serializers.IntegerField()
    state = serializers.CharField()
    current = serializers.BooleanField()
    schema_version = serializers.IntegerField(source="schema.version")
    regions = serializers.ListField(child=serializers.DictField())
    seconds = serializers.FloatField(allow_null=True)
    served = serializers.SerializerMethodField(
        help_text="How the item came to the person; while there are checks, managers alone are told all of it."
    )
    suggestion = serializers.DictField(allow_null=True, help_text="What was shown, if anything was.")
    created_at = serializers.DateTimeField()

    def get_served(self, answer: Annotation) -> dict[str, Any]:
        served: dict[str, Any] = answer.served
        return served if self.context["whole"] else serving.shown(served, guarded=self.context["guarded"])


class SkippedOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item = serializers.IntegerField(source="item_id")
    annotator = serializers.IntegerField(source="annotator_id")
    policy = serializers.CharField()
    reason = serializers.CharField()
    withdrawn = serializers.BooleanField()
    created_at = serializers.DateTimeField()


def _page(name: str, row: Any) -> type[serializers.Serializer[Any]]:
    members = {
        "results": row(many=True),
        "next_after": serializers.CharField(allow_null=True, help_text="Pass as `after` for the next page."),
        "next": serializers.CharField(
            allow_null=True, help_text="Address of the next page; null on the last."
        ),
    }
    return type(name, (serializers.Serializer,), members)


AnnotationsPage = _page("AnnotationsPage", AnnotationOut)
SkipsPage = _page("SkipsPage", SkippedOut)


class HistoryOut(serializers.Serializer[Any]):
    annotations = AnnotationOut(many=True)
    skips = SkippedOut(many=True)


class FiguresOut(serializers.Serializer[Any]):
    items = serializers.IntegerField()
    complete = serializers.IntegerField(help_text="With all their answers.")
    started = serializers.IntegerField()
    answers = serializers.IntegerField()
    answers_today = serializers.IntegerField()


class ClassCountOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    answers = serializers.IntegerField()


class ThroughputOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    answers = serializers.IntegerField()
    today = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    skips = serializers.IntegerField()
    latest = serializers.DateTimeField(allow_null=True)


class CurvePointOut(serializers.Serializer[Any]):
    model = serializers.IntegerField()
    labels = serializers.IntegerField()
    state = serializers.CharField(help_text="'measured', or why not.")
    n = serializers.IntegerField(help_text="Random labels it was measured on.")
    accuracy = serializers.DictField(allow_null=True, help_text="value, low, high")
    macro_f1 = serializers.DictField(allow_null=True)
    calibration_error = serializers.JSONField(allow_null=True)
    created_at = serializers.DateTimeField()


class MetricsOut(serializers.Serializer[Any]):
    progress = FiguresOut()
    learning_curve = CurvePointOut(many=True)
    class_balance = ClassCountOut(many=True)
    throughput = ThroughputOut(many=True)


class WaitingOut(serializers.Serializer[Any]):
    place = serializers.IntegerField()
    item_id = serializers.IntegerField()
    external_id = serializers.CharField()
    snippet = serializers.CharField()
    headline = serializers.CharField(help_text="Why it is there.")
    exploration = serializers.BooleanField()
    utility = serializers.FloatField(allow_null=True)
    free = serializers.IntegerField(help_text="How many people may still take it.")


class HeldOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    external_id = serializers.CharField()
    item_id = serializers.IntegerField()
    round = serializers.IntegerField(allow_null=True)
    since = serializers.DateTimeField()


class QueueOut(serializers.Serializer[Any]):
    waiting = WaitingOut(many=True, help_text="The next fifty.")
    held = HeldOut(many=True)


def answers(request: Request, project_id: int) -> Response:
    """The GET of `annotations/`."""
    seen = _view_of_served(require_role(current_user(request), project_id, INSPECTORS), project_id)
    values = queried(AnnotationQuery, request)
    rows = Annotation.objects.filter(project_id=project_id).select_related("schema")
    if "state" in values:
        rows = rows.filter(state=values["state"])
    if "current" in values:
        rows = rows.filter(current=values["current"])
    if "schema_version" in values:
        rows = rows.filter(schema__version=values["schema_version"])
    return _listed(
        request, rows, values, lambda found: list(AnnotationOut(found, many=True, context=seen).data)
    )


def skips(request: Request, project_id: int) -> Response:
    """The GET of `skips/`."""
    require_role(current_user(request), project_id, INSPECTORS)
    values = queried(SkipQuery, request)
    rows = Skip.objects.filter(project_id=project_id)
    if "withdrawn" in values:
        rows = rows.filter(withdrawn=values["withdrawn"])
    return _listed(request, rows, values, lambda found: list(SkippedOut(found, many=True).data))


@extend_schema(operation_id="annotations_get", responses=AnnotationOut)
@api_view(["GET"])
@needs(GET=READ)
def annotation(request: Request, project_id: int, annotation_id: UUID) -> Response:
    """One revision of one answer."""
    seen = _view_of_served(require_role(current_user(request), project_id, INSPECTORS), project_id)
    found = (
        Annotation.objects.select_related("schema").filter(project_id=project_id, pk=annotation_id).first()
    )
    if found is None:
        raise NotFound("There is no such answer in this project.")
    return Response(AnnotationOut(found, context=seen).data)


@extend_schema(operation_id="items_history", responses=HistoryOut)
@api_view(["GET"])
@needs(GET=READ)
def history(request: Request, project_id: int, item_id: int) -> Response:
    """Every revision and every skip of an item, newest first."""
    seen = _view_of_served(require_role(current_user(request), project_id, INSPECTORS), project_id)
    if not Item.objects.filter(project_id=project_id, pk=item_id).exists():
        raise NotFound("There is no such item in this project.")
    answers = (
        Annotation.objects.filter(item_id=item_id).select_related("schema").order_by("-created_at", "-pk")
    )
    passed = Skip.objects.filter(item_id=item_id).order_by("-created_at", "-pk")
    return Response(
        {
            "annotations": AnnotationOut(answers, many=True, context=seen).data,
            "skips": SkippedOut(passed, many=True).data,
        }
    )


@extend_schema(operation_id="metrics", responses=MetricsOut)
@api_view(["GET"])
@needs(GET=READ)
def metrics(request: Request, project_id: int) -> Response:
    """The dashboard's figures: progress, how good each model was, answers by class, people's pace."""
    project, _ = can_inspect(current_user(request), project_id)
    schema = project.schema
    balance = zip(schema.active_classes(), selectors.class_balance(schema), strict=True)
    document = {
        "progress": vars(selectors.progress(project)),
        "learning_curve": learning_curve(project),
        "class_balance": [{"key": c.key, "name": c.name, "answers": row["value"]} for c, row in balance],
        "throughput": [vars(row) for row in selectors.throughput(project.pk)],
    }
    return Response(MetricsOut(document).data)


@extend_schema(operation_id="queue", responses=QueueOut)
@api_view(["GET"])
@needs(GET=READ)
def waiting(request: Request, project_id: int) -> Response:
    """What is served next, and who has what in hand."""
    project, _ = can_inspect(current_user(request), project_id)
    document = {"waiting": selectors.next_in_queue(project.pk), "held": selectors.held_now(project.pk)}
    return Response(QueueOut(document).data)


def _view_of_served(role: Role, project_id: int) -> dict[str, bool]:
    """The context of `AnnotationOut`: who labels and does not manage must not learn which items are checks."""
    return {"guarded": role not in MANAGERS and serving.conceals(project_id), "whole": role in MANAGERS}


def _listed(
    request: Request,
    rows: QuerySet[Any],
    values: dict[str, Any],
    to_json: Callable[[list[Any]], list[Any]],
) -> Response:
    """A page, newest first, of what has a time and a client-made id."""
    if "item" in values:
        rows = rows.filter(item_id=values["item"])
    if "annotator" in values:
        rows = rows.filter(annotator_id=values["annotator"])
    if "since" in values:
        rows = rows.filter(created_at__gte=values["since"])
    if "after" in values:
        at, key = values["after"]
        rows = rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(pk__lt=key))
    size = values["limit"]
    found = list(rows.order_by("-created_at", "-pk")[: size + 1])
    last = found[size - 1] if len(found) > size else None
    mark = f"{last.created_at.isoformat()}{BETWEEN}{last.pk}" if last else None
    return page_response(request, to_json(found[:size]), mark)
