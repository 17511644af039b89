"""Imports for programs: files as a job, up to a thousand texts at once, the report."""

from __future__ import annotations

from typing import IO, Any, cast

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.parsers import DataAndFiles, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.accounts.models import User
from annotator.common.api import KeyField, PageQuery, RowsJSONParser, listed, page_out, parsed, queried
from annotator.common.errors import Conflict, Invalid
from annotator.common.idempotency import idempotent
from annotator.common.permissions import IMPORT, READ, needs
from annotator.items.matching import OnConflict, Outcome
from annotator.items.models import Item
from annotator.jobs.api import JobOut, job_json
from annotator.projects.access import can_manage
from annotator.projects.models import Project
from annotator.transfer import dry_run, services
from annotator.transfer.counts import Counts, read_errors
from annotator.transfer.formats import Options, Row
from annotator.transfer.models import Import
from annotator.transfer.views import errors_response, get_import_of_job, refuse_large

MAX_ROWS = 1_000
SHOWN_ERRORS = 1_000


class LimitedMultiPartParser(MultiPartParser):
    """Refuses an upload by its announced size, before reading it."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> DataAndFiles[Any, Any]:
        refuse_large(parser_context["request"])
        return super().parse(stream, media_type, parser_context)


class OptionsIn(serializers.Serializer[Any]):
    """Columns by name; what is left out is guessed from the file."""

    text = serializers.CharField(required=False)
    external_id = serializers.CharField(required=False, allow_blank=True)
    label = serializers.CharField(required=False, allow_blank=True)  # type: ignore[assignment]
    label_separator = serializers.CharField(required=False, allow_blank=True, max_length=5)
    split = serializers.CharField(required=False, allow_blank=True)
    group = serializers.CharField(required=False, allow_blank=True)
    keep_rest = serializers.BooleanField(required=False)
    folder_labels = serializers.BooleanField(required=False)
    encoding = serializers.CharField(required=False)
    delimiter = serializers.CharField(required=False, trim_whitespace=False, min_length=1, max_length=1)
    header = serializers.BooleanField(required=False)
    sheet = serializers.CharField(required=False, allow_blank=True, max_length=200)
    conflict = serializers.ChoiceField(
        choices=[str(each) for each in OnConflict],
        required=False,
        help_text="A row whose id has other content: keep what is there (default), or take it in under a new id.",
    )


class UploadIn(serializers.Serializer[Any]):
    files = serializers.ListField(child=serializers.FileField(), required=False)
    upload = KeyField(required=False, help_text="In place of files: a complete upload in pieces.")
    options = serializers.JSONField(required=False, help_text="OptionsIn as JSON.")
    dry_run = serializers.BooleanField(required=False, help_text="Check everything, add nothing.")


class ItemIn(serializers.Serializer[Any]):
    text = serializers.CharField(trim_whitespace=False, max_length=2**20)
    external_id = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    split = serializers.ChoiceField(choices=Item.Split.choices, default=Item.Split.POOL)
    labels = serializers.ListField(child=serializers.CharField(max_length=200), max_length=100, default=list)
    meta = serializers.DictField(default=dict)


class ItemsIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MAX_ROWS)


class RowErrorOut(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Place in the request's list, from 0.")
    reason = serializers.CharField()


class ItemsOut(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    created = serializers.IntegerField()
    known = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = RowErrorOut(many=True)  # type: ignore[assignment]


class FileErrorOut(serializers.Serializer[Any]):
    file = serializers.CharField()
    line = serializers.IntegerField()
    reason = serializers.CharField()
    excerpt = serializers.CharField()


class ImportPreviewOut(serializers.Serializer[Any]):
    """One of the first items as it will look."""

    file = serializers.CharField()
    line = serializers.IntegerField()
    external_id = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[str(each) for each in Outcome])
    text = serializers.CharField()
    split = serializers.CharField()
    labels = serializers.ListField(child=serializers.CharField())
    meta = serializers.DictField()
    width = serializers.IntegerField(required=False)
    height = serializers.IntegerField(required=False)


class ImportOut(serializers.Serializer[Any]):
    job = JobOut()
    dry_run = serializers.BooleanField(help_text="Whether this job only checks; nothing is added then.")
    files = serializers.ListField(child=serializers.CharField())
    options = serializers.DictField()
    rows = serializers.IntegerField()
    created = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Rows whose item was there already.")
    rejected = serializers.IntegerField()
    labelled = serializers.IntegerField()
    conflicts = serializers.IntegerField(help_text="Rows whose id has other content.")
    alike = serializers.IntegerField(help_text="File names nearly like another one; dry run only.")
    listed = serializers.IntegerField(help_text="Rows in errors.csv.")
    splits = serializers.DictField(child=serializers.IntegerField())
    preview = ImportPreviewOut(many=True, help_text="The first ten items; dry run only.")
    unknown_labels = serializers.DictField(child=serializers.IntegerField())
    errors = FileErrorOut(  # type: ignore[assignment]
        many=True, help_text=f"The first {SHOWN_ERRORS:,}; all of them as CSV at errors.csv."
    )


class ImportRowOut(serializers.Serializer[Any]):
    """An import as its list tells it; `check` is the job of its dry run."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    format = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    job = JobOut(allow_null=True)
    check = JobOut(allow_null=True)
    created_at = serializers.DateTimeField()


@extend_schema(
    methods=["GET"],
    operation_id="imports_list",
    parameters=[PageQuery],
    responses=page_out("ImportsPage", ImportRowOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="imports_create",
    request={"multipart/form-data": UploadIn, "application/json": ItemsIn},
    responses={200: ItemsOut, 202: ImportOut},
)
@api_view(["GET", "POST"])
@parser_classes([LimitedMultiPartParser, RowsJSONParser])
@needs(GET=(READ, IMPORT), POST=IMPORT)
@idempotent()
def imports(request: Request, project_id: int) -> Response:
    """Imports, newest first. POST: files become a job (202), with `dry_run=true` one that only checks; a JSON body with
    up to 1,000 texts is added at once (200). All can be repeated."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    if request.method == "GET":
        found = Import.objects.filter(project=project).select_related("job", "dry_job")
        return listed(request, found, queried(PageQuery, request), lambda rows: list(map(_row_json, rows)))
    if (request.content_type or "").startswith("multipart/"):
        return _start(request, project)
    if project.modality != Project.Modality.TEXT:
        raise Invalid("Images are imported as files.", code="wrong_format")
    return Response(add_texts(project, parsed(ItemsIn, request)["items"], source=f"API ({user.username})"))


@extend_schema(operation_id="imports_retrieve", responses=ImportOut)
@api_view(["GET"])
@needs(GET=(READ, IMPORT))
def import_detail(request: Request, project_id: int, job_id: int) -> Response:
    """How far an import is, or what became of it."""
    can_manage(current_user(request), project_id)
    return Response(import_json(*_import_of(project_id, job_id)))


@extend_schema(operation_id="imports_errors", responses={(200, "text/csv"): OpenApiTypes.STR})
@api_view(["GET"])
@needs(GET=(READ, IMPORT))
def import_errors(request: Request, project_id: int, job_id: int) -> HttpResponseBase:
    """All rows that could not be taken, as CSV."""
    can_manage(current_user(request), project_id)
    record, checked = _import_of(project_id, job_id)
    return errors_response(record, checked=checked)


@extend_schema(operation_id="imports_start", request=None, responses={202: ImportOut})
@api_view(["POST"])
@needs(POST=IMPORT)
def start_checked(request: Request, project_id: int, job_id: int) -> Response:
    """Do the import that a dry run checked, with the same options."""
    user = current_user(request)
    can_manage(user, project_id)
    record, checked = _import_of(project_id, job_id)
    if not checked:
        raise Conflict("This job is the import itself.", code="import_started")
    if record.dry_job and record.dry_job.active:
        raise Conflict(
            "The dry run has not ended yet.", code="dry_run_active", hint="Wait for it, or cancel it."
        )
    services.start_import(record=record, options=Options.from_json(record.options), user=user)
    return Response(import_json(record), status=202)


def _row_json(record: Import) -> dict[str, Any]:
    names = ("id", "title", "format", "source", "created_at")
    return {
        **{name: getattr(record, name) for name in names},
        "job": job_json(record.job) if record.job else None,
        "check": job_json(record.dry_job) if record.dry_job else None,
    }


def _import_of(project_id: int, job_id: int) -> tuple[Import, bool]:
    """The import of a job, and whether the job is its dry run."""
    found = Import.objects.filter(project_id=project_id, dry_job_id=job_id).select_related("dry_job", "job")
    if record := found.first():
        return record, True
    return get_import_of_job(project_id, job_id), False


def _start(request: Request, project: Project) -> Response:
    given: dict[str, Any] = {}
    data = cast("dict[str, Any]", request.data)
    if text := data.get("options"):
        checked = OptionsIn(data=json_object(text))
        checked.is_valid(raise_exception=True)
        given = checked.validated_data
    dry = serializers.BooleanField().run_validation(data.get("dry_run", False))
    user = current_user(request)
    if (number := data.get("upload")) is not None:
        # What was sent in pieces stays, so that it can be imported with other options.
        record = _uploaded(number, project)
        _begin(record, given, user, dry=dry)
        return Response(import_json(record, dry), status=202)
    files = request.FILES.getlist("files")
    if not files:
        raise Invalid("Send at least one file, in fields named 'files'.", code="no_files")
    record = services.receive_files(project=project, user=user, files=files)
    with services.kept_or_forgotten(record):
        _begin(record, given, user, dry=dry)
    return Response(import_json(record, dry), status=202)


def _begin(record: Import, given: dict[str, Any], user: User, *, dry: bool) -> None:
    """Start the import, or its dry run, with what is guessed but for what is given."""
    guessed = services.look(record).options
    how = {name: given[name] for name in ("encoding", "delimiter", "header", "sheet") if name in given}
    if how:
        guessed = services.look(record, Options.from_json(guessed.to_json() | how)).options
    options = Options.from_json(guessed.to_json() | given)
    if dry:
        dry_run.start(record=record, options=options, user=user)
    else:
        services.start_import(record=record, options=options, user=user)


def _uploaded(number: Any, project: Project) -> Import:
    """A complete upload in pieces."""
    key = KeyField().run_validation(number)
    found = Import.objects.filter(project=project, pk=key, complete=True).first()
    if found is None:
        raise Invalid("There is no complete upload of this number.", code="no_upload")
    return found


def json_object(text: Any) -> Any:
    """What a field of a form says in JSON, or a 400."""
    field = serializers.JSONField(binary=True)
    return field.run_validation(text if isinstance(text, str | bytes) else b"")


def add_texts(project: Project, values: list[dict[str, Any]], *, source: str) -> dict[str, Any]:
    rows, errors = [], []
    for n, value in enumerate(values):
        checked = ItemIn(data=value)
        if not checked.is_valid():
            reason = "; ".join(f"{name}: {' '.join(map(str, each))}" for name, each in checked.errors.items())
            errors.append({"index": n, "reason": reason})
            continue
        item = checked.validated_data
        rows.append(
            Row(
                line=n,
                external_id=item["external_id"],
                text=item["text"],
                labels=tuple(dict.fromkeys(item["labels"])),
                split=item["split"],
                meta=item["meta"],
            )
        )
    counts, refused = services.add_rows(project=project, rows=rows, source=source)
    errors += [{"index": error.line, "reason": error.reason} for error in refused]
    return {
        "rows": len(values),
        "created": counts.created,
        "known": counts.known,
        "rejected": len(errors),
        "errors": sorted(errors, key=lambda error: error["index"]),
    }


def import_json(record: Import, checked: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
    """The report of the import, or (`checked`) of its dry run."""
    job = record.dry_job if checked else record.job
    assert job is not None
    found = record.report if checked else record.counts
    counts = Counts.from_json(found).to_json()
    del counts["error_bytes"]
    preview = found.get("preview", []) if checked else []
    return {
        "job": job_json(job),
        "dry_run": checked,
        "files": [each["name"] for each in record.files],
        "options": record.options,
        "errors": read_errors(record.check_path if checked else record.errors_path, SHOWN_ERRORS),
        "preview": [{name: value for name, value in each.items() if name != "picture"} for each in preview],
        **counts,
    }
