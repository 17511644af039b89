"""Exports and snapshots for programs."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.errors import Invalid
from annotator.common.idempotency import idempotent
from annotator.common.permissions import EXPORT, MANAGE, READ, needs
from annotator.jobs.api import JobOut, job_json
from annotator.projects.access import can_inspect, can_manage, can_own
from annotator.transfer import exports, snapshots
from annotator.transfer.export_selectors import exports_of, get_export, get_snapshot, snapshots_of
from annotator.transfer.export_views import download_response
from annotator.transfer.formats import FORMATS
from annotator.transfer.models import Export, Snapshot
from annotator.transfer.selection import STATED, Selection


class FiltersIn(serializers.Serializer[Any]):
    confirmed_only = serializers.BooleanField(default=False)
    minimum_agreement = serializers.FloatField(default=0.0, min_value=0.0, max_value=1.0)
    splits = serializers.ListField(child=serializers.ChoiceField(choices=STATED), default=list)
    classes = serializers.ListField(
        child=serializers.CharField(max_length=100),
        default=list,
        max_length=1000,
        help_text="Keys of classes.",
    )
    since = serializers.DateTimeField(required=False, help_text="Of the latest answer.")


class SplitsIn(serializers.Serializer[Any]):
    train = serializers.FloatField(default=0.8, min_value=0.0, max_value=1.0)
    validation = serializers.FloatField(default=0.1, min_value=0.0, max_value=1.0)
    test = serializers.FloatField(default=0.1, min_value=0.0, max_value=1.0)
    group = serializers.CharField(
        default="", allow_blank=True, max_length=200, help_text="Metadata field whose items stay together."
    )
    stratified = serializers.BooleanField(default=True)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**62)


class SelectionIn(serializers.Serializer[Any]):
    filters = FiltersIn(required=False)
    splits = SplitsIn(required=False, allow_null=True, help_text="Left out: items are not divided.")


class ExportIn(SelectionIn):
    format = serializers.CharField(max_length=20)
    snapshot = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**62)
    plain = serializers.BooleanField(default=False, help_text="One file instead of an archive.")
    formula_guard = serializers.BooleanField(
        default=True, help_text="CSV: cells that begin like a formula get an apostrophe."
    )


class SnapshotIn(SelectionIn):
    name = serializers.CharField(max_length=100)
    note = serializers.CharField(max_length=500, default="", allow_blank=True)


class FileOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()


class LossOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    count = serializers.IntegerField()
    words = serializers.CharField()


class LossPreviewOut(serializers.Serializer[Any]):
    losses = LossOut(many=True, allow_null=True, help_text="Null where there is too much to count at once.")


class ExportOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    format = serializers.CharField()
    snapshot = serializers.IntegerField(allow_null=True)
    options = serializers.DictField()
    files = FileOut(many=True, help_text="Empty until it is written; the first one holds the data.")
    digest = serializers.CharField(help_text="SHA-256 of the records.")
    losses = LossOut(many=True)
    job = JobOut(allow_null=True)
    created_at = serializers.DateTimeField()


class ExportDetailOut(ExportOut):
    manifest = serializers.DictField()


class SnapshotOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    note = serializers.CharField()
    selection = serializers.DictField()
    moment = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField()
    digest = serializers.CharField(help_text="SHA-256 of the records; empty until it is complete.")
    size = serializers.IntegerField()
    job = JobOut(allow_null=True)
    created_at = serializers.DateTimeField()


@extend_schema(
    methods=["GET"],
    operation_id="exports_list",
    parameters=[PageQuery],
    responses=page_out("ExportsPage", ExportOut),
)
@extend_schema(methods=["POST"], operation_id="exports_create", request=ExportIn, responses={202: ExportOut})
@api_view(["GET", "POST"])
@needs(GET=(READ, EXPORT), POST=EXPORT)
@idempotent()
def exports_list(request: Request, project_id: int) -> Response:
    """Exports, newest first; POST begins one in the background."""
    user = current_user(request)
    if request.method == "GET":
        can_inspect(user, project_id)
        return listed(
            request,
            exports_of(project_id),
            queried(PageQuery, request),
            lambda rows: [_export(each) for each in rows],
        )
    project, _ = can_manage(user, project_id)
    values = parsed(ExportIn, request)
    frozen = get_snapshot(project_id, values["snapshot"]) if values.get("snapshot") else None
    export = exports.create_export(
        project=project,
        format_key=values["format"],
        user=user,
        snapshot=frozen,
        selection=Selection.from_json(values),
        plain=values["plain"],
        formula_guard=values["formula_guard"],
    )
    return Response(_export(export), status=202)


@extend_schema(operation_id="exports_preview", request=ExportIn, responses=LossPreviewOut)
@api_view(["POST"])
@needs(POST=EXPORT)
def preview(request: Request, project_id: int) -> Response:
    """What an export would leave out or change, before it is made."""
    project, _ = can_manage(current_user(request), project_id)
    values = parsed(ExportIn, request)
    kind = FORMATS.get(values["format"])
    if kind is None:
        raise Invalid("There is no such format.", code="no_such_format")
    frozen = get_snapshot(project_id, values["snapshot"]) if values.get("snapshot") else None
    losses = exports.preview_losses(
        project=project,
        kind=kind,
        snapshot=frozen,
        selection=Selection.from_json(values),
        formula_guard=values["formula_guard"],
    )
    return Response({"losses": None if losses is None else [loss.to_json() for loss in losses]})


@extend_schema(methods=["GET"], operation_id="exports_retrieve", responses=ExportDetailOut)
@extend_schema(methods=["DELETE"], operation_id="exports_destroy", responses={204: None})
@api_view(["GET", "DELETE"])
@needs(GET=(READ, EXPORT), DELETE=EXPORT)
def export_detail(request: Request, project_id: int, export_id: int) -> Response:
    """One export with its manifest; DELETE removes its files."""
    user = current_user(request)
    if request.method == "DELETE":
        can_manage(user, project_id)
        exports.delete_export(export=get_export(project_id, export_id))
        return Response(status=204)
    can_inspect(user, project_id)
    export = get_export(project_id, export_id)
    return Response(_export(export) | {"manifest": export.manifest})


@extend_schema(
    operation_id="exports_download",
    parameters=[OpenApiParameter("file", str, description="Name of one of its files; the data if left out.")],
    responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
)
@api_view(["GET"])
@needs(GET=(READ, EXPORT))
def download(request: Request, project_id: int, export_id: int) -> HttpResponseBase:
    """A file; `Range` goes on with a download that broke off."""
    _, can = can_inspect(current_user(request), project_id)
    export, name = get_export(project_id, export_id), request.query_params.get("file", "")
    return download_response(cast("HttpRequest", request), export, can, name)


@extend_schema(
    methods=["GET"],
    operation_id="snapshots_list",
    parameters=[PageQuery],
    responses=page_out("SnapshotsPage", SnapshotOut),
)
@extend_schema(
    methods=["POST"], operation_id="snapshots_create", request=SnapshotIn, responses={202: SnapshotOut}
)
@api_view(["GET", "POST"])
@needs(GET=(READ, EXPORT), POST=EXPORT)
@idempotent()
def snapshots_list(request: Request, project_id: int) -> Response:
    """Snapshots, newest first; POST freezes the data set under a name, in the background."""
    user = current_user(request)
    if request.method == "GET":
        can_inspect(user, project_id)
        return listed(
            request,
            snapshots_of(project_id),
            queried(PageQuery, request),
            lambda rows: [_snapshot(each) for each in rows],
        )
    project, _ = can_manage(user, project_id)
    values = parsed(SnapshotIn, request)
    made = snapshots.create_snapshot(
        project=project,
        name=values["name"],
        note=values["note"],
        selection=Selection.from_json(values),
        user=user,
    )
    return Response(_snapshot(made), status=202)


@extend_schema(methods=["GET"], operation_id="snapshots_retrieve", responses=SnapshotOut)
@extend_schema(
    methods=["DELETE"],
    operation_id="snapshots_destroy",
    parameters=[OpenApiParameter("confirm", str, required=True, description="The snapshot's name.")],
    responses={204: None},
)
@api_view(["GET", "DELETE"])
@needs(GET=(READ, EXPORT), DELETE=MANAGE)
def snapshot_detail(request: Request, project_id: int, snapshot_id: int) -> Response:
    """One snapshot; its owner deletes it for good with `?confirm=` and its name."""
    user = current_user(request)
    if request.method == "DELETE":
        can_own(user, project_id)
        snapshots.delete_snapshot(
            snapshot=get_snapshot(project_id, snapshot_id),
            confirmation=request.query_params.get("confirm", ""),
        )
        return Response(status=204)
    can_inspect(user, project_id)
    return Response(_snapshot(get_snapshot(project_id, snapshot_id)))


def _export(export: Export) -> dict[str, Any]:
    names = ("id", "format", "options", "files", "digest", "losses", "created_at")
    values = {name: getattr(export, name) for name in names}
    return {**values, "snapshot": export.snapshot_id, "job": job_json(export.job) if export.job else None}


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    names = ("id", "name", "note", "selection", "moment", "counts", "digest", "size", "created_at")
    values = {name: getattr(snapshot, name) for name in names}
    return {**values, "job": job_json(snapshot.job) if snapshot.job else None}
