"""Imports of images that lie elsewhere, for programs: addresses, and prefixes of a storage."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.accounts.models import User
from annotator.common import storages
from annotator.common.api import StorableJSONParser, parsed, queried
from annotator.common.errors import Invalid
from annotator.common.idempotency import idempotent
from annotator.common.permissions import IMPORT, READ, needs
from annotator.projects.access import can_manage
from annotator.transfer import dry_run, remote, services, sources
from annotator.transfer.api import ImportOut, LimitedMultiPartParser, OptionsIn, import_json, json_object
from annotator.transfer.formats import Options
from annotator.transfer.models import Import

FLAGS = ("by_reference", "dry_run")


class HowIn(serializers.Serializer[Any]):
    by_reference = serializers.BooleanField(
        default=False, help_text="Keep no copy: fetch an image again whenever it is needed."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Fetch and check everything, add nothing.")


class UrlsIn(HowIn):
    urls = serializers.ListField(
        child=serializers.CharField(max_length=2_000), min_length=1, max_length=remote.MAX_URLS
    )


class UrlListIn(HowIn):
    file = serializers.FileField(help_text="CSV, TSV, JSON lines, or one address a line.")
    options = serializers.JSONField(
        required=False, help_text="OptionsIn as JSON; `text` names the column of the addresses."
    )


class BucketIn(HowIn):
    storage = serializers.CharField(max_length=50)
    prefix = serializers.CharField(
        allow_blank=True, default="", max_length=remote.MAX_PREFIX, trim_whitespace=False
    )
    folder_labels = serializers.BooleanField(default=False)


class FolderQuery(serializers.Serializer[Any]):
    root = serializers.IntegerField(required=False, min_value=0, max_value=10**6)  # type: ignore[assignment]
    folder = serializers.CharField(default="", allow_blank=True, max_length=4_000)


class FolderIn(serializers.Serializer[Any]):
    root = serializers.IntegerField(  # type: ignore[assignment]
        min_value=0, max_value=10**6, help_text="Number of the root in the list."
    )
    folder = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=4_000,
        trim_whitespace=False,
        help_text="The way down from it.",
    )
    options = OptionsIn(required=False)
    dry_run = serializers.BooleanField(default=False, help_text="Check everything, add nothing.")


class FoldersOut(serializers.Serializer[Any]):
    roots = serializers.ListField(child=serializers.CharField())
    folders = serializers.ListField(child=serializers.CharField(), help_text="In the folder asked for.")


class StoragesOut(serializers.Serializer[Any]):
    storages = serializers.ListField(child=serializers.CharField())


@extend_schema(
    operation_id="imports_urls",
    request={"application/json": UrlsIn, "multipart/form-data": UrlListIn},
    responses={202: ImportOut},
)
@api_view(["POST"])
@parser_classes([LimitedMultiPartParser, StorableJSONParser])
@needs(POST=IMPORT)
@idempotent()
def import_urls(request: Request, project_id: int) -> Response:
    """Images at public http(s) addresses: up to 10,000 as JSON, or any number as a file with the usual columns."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    if (request.content_type or "").startswith("multipart/"):
        changes = _options(request)
        upload = request.FILES.get("file")
        if upload is None:
            raise Invalid("Send the list in a field named 'file'.", code="no_files")
        record = remote.receive_urls(project=project, user=user, upload=cast("Any", upload))
    else:
        given = parsed(UrlsIn, request)
        changes = {name: given[name] for name in FLAGS}
        record = remote.receive_url_texts(project=project, user=user, urls=given["urls"])
    return Response(_started(record, user, changes), status=202)


@extend_schema(methods=["GET"], operation_id="imports_storages", responses=StoragesOut)
@extend_schema(methods=["POST"], operation_id="imports_bucket", request=BucketIn, responses={202: ImportOut})
@api_view(["GET", "POST"])
@parser_classes([StorableJSONParser])
@needs(GET=(READ, IMPORT), POST=IMPORT)
@idempotent()
def import_bucket(request: Request, project_id: int) -> Response:
    """Images under a prefix of an S3-style storage; GET names the storages that an administrator set up."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    if request.method == "GET":
        return Response({"storages": storages.names()})
    given = parsed(BucketIn, request)
    record = remote.receive_bucket(
        project=project, user=user, storage=given["storage"], prefix=given["prefix"]
    )
    changes = {name: given[name] for name in (*FLAGS, "folder_labels")}
    return Response(_started(record, user, changes), status=202)


@extend_schema(
    methods=["GET"], operation_id="imports_folders", parameters=[FolderQuery], responses=FoldersOut
)
@extend_schema(methods=["POST"], operation_id="imports_folder", request=FolderIn, responses={202: ImportOut})
@api_view(["GET", "POST"])
@parser_classes([StorableJSONParser])
@needs(GET=(READ, IMPORT), POST=IMPORT)
@idempotent()
def import_folder(request: Request, project_id: int) -> Response:
    """Files in a folder of the server; GET names the roots that an administrator allows, and the folders in one."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    if request.method == "GET":
        asked = queried(FolderQuery, request)
        inside = sources.server_folder(asked["root"], asked["folder"]) if "root" in asked else None
        return Response(
            {
                "roots": [root.name for root in sources.roots()],
                "folders": sources.subfolders(inside) if inside else [],
            }
        )
    given = parsed(FolderIn, request)
    folder = sources.server_folder(given["root"], given["folder"])
    record = services.use_folder(project=project, user=user, folder=folder)
    changes = {**given.get("options", {}), "dry_run": given["dry_run"]}
    return Response(_started(record, user, changes), status=202)


def _started(record: Import, user: User, given: dict[str, Any]) -> dict[str, Any]:
    """Import with what is guessed of the list, but for what is given; or only check, where `dry_run` says so."""
    checked = given.pop("dry_run")
    with services.kept_or_forgotten(record):
        options = Options.from_json(services.look(record).options.to_json() | given)
        if checked:
            dry_run.start(record=record, options=options, user=user)
        else:
            services.start_import(record=record, options=options, user=user)
    return import_json(record, checked)


def _options(request: Request) -> dict[str, Any]:
    given = cast("dict[str, Any]", request.data)
    chosen: dict[str, Any] = {}
    if text := given.get("options"):
        checked = OptionsIn(data=json_object(text))
        checked.is_valid(raise_exception=True)
        chosen = dict(checked.validated_data)
    flags = {name: serializers.BooleanField().run_validation(given.get(name, False)) for name in FLAGS}
    return chosen | flags
