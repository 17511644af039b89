"""Uploads in pieces, for pages and programs: announce files, send chunks at offsets, complete."""

from __future__ import annotations

from typing import IO, Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import StorableJSONParser, parsed
from annotator.common.errors import Invalid, NotFound
from annotator.common.idempotency import idempotent
from annotator.common.openapi import PROBLEM, ProblemOut
from annotator.common.permissions import IMPORT, READ, needs
from annotator.projects.access import can_manage
from annotator.transfer import uploads as service
from annotator.transfer.models import Import

FILE = OpenApiParameter("file", OpenApiTypes.INT, description="The file's place in the upload, from 0.")
OFFSET = OpenApiParameter("offset", OpenApiTypes.INT, description="How many bytes were sent before.")


class UploadFileIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=1000, trim_whitespace=False)
    size = serializers.IntegerField(min_value=0, max_value=2**53)


class UploadFilesIn(serializers.Serializer[Any]):
    files = serializers.ListField(child=UploadFileIn(), min_length=1, max_length=service.MAX_FILES)


class UploadFileOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    offset = serializers.IntegerField(help_text="How many bytes are here: send the next ones from there.")


class UploadOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    complete = serializers.BooleanField()
    chunk_bytes = serializers.IntegerField(help_text="The most bytes of one chunk.")
    files = UploadFileOut(many=True)


class OffsetOut(serializers.Serializer[Any]):
    offset = serializers.IntegerField()


@extend_schema(operation_id="uploads_create", request=UploadFilesIn, responses={201: UploadOut})
@api_view(["POST"])
@parser_classes([StorableJSONParser])
@needs(POST=IMPORT)
@idempotent()
def uploads(request: Request, project_id: int) -> Response:
    """Announce files by name and size; what cannot be taken is refused before anything is sent."""
    project, _ = can_manage(current_user(request), project_id)
    files = [
        service.Announced(each["name"], each["size"]) for each in parsed(UploadFilesIn, request)["files"]
    ]
    record = service.create(project=project, user=current_user(request), files=files)
    return Response(service.state(record), status=201)


@extend_schema(methods=["GET"], operation_id="uploads_retrieve", responses=UploadOut)
@extend_schema(
    methods=["PUT"],
    operation_id="uploads_chunk",
    parameters=[FILE, OFFSET],
    request={"application/octet-stream": OpenApiTypes.BINARY},
    responses={200: OffsetOut, (411, PROBLEM): ProblemOut},
)
@extend_schema(methods=["DELETE"], operation_id="uploads_abandon", request=None, responses={204: None})
@api_view(["GET", "PUT", "DELETE"])
@needs(GET=(READ, IMPORT), PUT=IMPORT, DELETE=IMPORT)
def upload(request: Request, project_id: int, import_id: int) -> Response:
    """How much of each file is here; one more chunk of one file (`?file=&offset=`); or forget them all."""
    can_manage(current_user(request), project_id)
    record = _upload(project_id, import_id)
    if request.method == "DELETE":
        service.abandon(record=record)
        return Response(status=204)
    if request.method == "GET":
        return Response(service.state(record))
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        raise Invalid("Send the length of the chunk.", code="no_length", status=411)
    offset = service.write_chunk(
        record=record,
        number=_number(request, "file"),
        offset=_number(request, "offset"),
        stream=cast("IO[bytes]", request),
        length=int(length),
    )
    return Response({"offset": offset})


@extend_schema(operation_id="uploads_complete", request=None, responses=UploadOut)
@api_view(["POST"])
@needs(POST=IMPORT)
def complete(request: Request, project_id: int, import_id: int) -> Response:
    """Say that all bytes are sent. Then `POST imports/` with `upload` checks or imports them."""
    can_manage(current_user(request), project_id)
    # In no transaction: what is refused is gone, with its files, and a rollback would bring its row back alone.
    return Response(service.state(service.complete(record=_upload(project_id, import_id))))


def _upload(project_id: int, import_id: int) -> Import:
    found = Import.objects.filter(project_id=project_id, pk=import_id, source="upload").select_related(
        "project"
    )
    record = found.first()
    if record is not None and (record.complete or record.folder.exists()):
        return record
    raise NotFound("There is no such upload in this project.", hint="Uploads are kept for a day.")


def _number(request: Request, name: str) -> int:
    value = request.query_params.get(name, "0")
    if not value.isdecimal() or len(value) > 16:
        raise Invalid(f"“{name}” is no number.", code="invalid", status=400)
    return int(value)
