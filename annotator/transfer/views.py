"""Bringing items in: choose files, say what their columns mean, watch, see what was wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from annotator.accounts.models import User
from annotator.common.downloads import file_response
from annotator.common.errors import AnnotatorError, Conflict, Invalid, NotFound
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title, worker_state
from annotator.modalities import image
from annotator.projects.access import Can, can_manage
from annotator.projects.models import Project
from annotator.transfer import dry_run, services, sources, uploads
from annotator.transfer.counts import Counts, read_errors
from annotator.transfer.formats import FORMATS, Layout, Options, extensions
from annotator.transfer.forms import MappingForm, UploadForm
from annotator.transfer.models import Import

RECENT = 10
SHOWN_ERRORS = 50
SHOWN_FILES = 20


class TooLarge(AnnotatorError):
    code, status = "too_large", 413


@csrf_exempt  # the size is looked at before anything reads the body; the token right after
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def upload(request: HttpRequest, project_id: int) -> HttpResponse:
    """Choose files; they are kept until their import has ended."""
    refuse_large(request)
    return _upload(request, project_id)


@csrf_protect
def _upload(request: HttpRequest, project_id: int) -> HttpResponse:
    project, can = can_manage(request.user, project_id)
    form = UploadForm(request.POST or None, request.FILES or None, project=project)
    if request.method == "POST" and (number := request.POST.get("upload", "")).isdecimal():
        record = _import(project, int(number[:18]))
        uploads.complete(record=record)
        first_check(record, _person(request))
        return redirect("transfer:mapping", project.pk, record.pk)
    if request.method == "POST":
        form = UploadForm(request.POST, request.FILES, project=project)
        if form.is_valid():
            try:
                record = services.receive_files(
                    project=project, user=_person(request), files=form.cleaned_data["uploads"]
                )
                first_check(record, _person(request))
            except Invalid as error:
                form.add_error("uploads", " ".join(filter(None, [error.message, error.hint])))
            else:
                return redirect("transfer:mapping", project.pk, record.pk)
    recent = Import.objects.filter(project=project).exclude(job=None).select_related("job")[:RECENT]
    context = {
        "project": project,
        "can": can,
        "active_tab": "import",
        "form": form,
        "formats": [each for each in FORMATS.values() if project.modality in each.modalities],
        "extensions": extensions(project.modality),
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_files": uploads.MAX_FILES,
        "max_file_bytes": image.MAX_BYTES,
        "pictures": image.EXTENSIONS if project.modality == Project.Modality.IMAGE else (),
        "has_server_folders": bool(settings.IMPORT_ROOTS),
        "recent": [(each, Counts.from_json(each.counts)) for each in recent],
    }
    return render(request, "transfer/import.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def server(request: HttpRequest, project_id: int) -> HttpResponse:
    """Choose a folder of the server, step by step down from one of the roots that the settings allow."""
    project, can = can_manage(request.user, project_id)
    given = request.POST if request.method == "POST" else request.GET
    folder = None
    if sources.roots() and given.get("root", "").isdecimal():
        folder = sources.server_folder(int(given["root"][:9]), given.get("folder", ""))
    error = ""
    if request.method == "POST":
        if folder is None:
            raise Conflict(
                "There is no folder to import from.",
                code="no_folder",
                hint="An administrator names them in ANNOTATOR_IMPORT_ROOTS.",
            )
        try:
            record = services.use_folder(project=project, user=_person(request), folder=folder)
            first_check(record, _person(request))
        except Invalid as invalid:
            error = " ".join(filter(None, [invalid.message, invalid.hint]))
        else:
            return redirect("transfer:mapping", project.pk, record.pk)
    context = {
        "project": project,
        "can": can,
        "active_tab": "import",
        "roots": list(enumerate(each.name for each in sources.roots())),
        "folder": folder,
        "above": folder.inside.rpartition("/")[0] if folder else "",
        "subfolders": sources.subfolders(folder) if folder else [],
        "error": error,
    }
    return render(request, "transfer/server.html", context, status=422 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def mapping(request: HttpRequest, project_id: int, import_id: int) -> HttpResponse:
    """What the columns mean, beside what the dry run found. 'preview' reads the first rows again, 'check' all of
    them, 'start' imports."""
    project, can = can_manage(request.user, project_id)
    record = _import(project, import_id)
    if not record.complete:
        raise NotFound("This upload is not complete.", hint="Choose the same files again to go on with it.")
    if record.job and record.job.state in (Job.State.QUEUED, Job.State.RUNNING, Job.State.SUCCEEDED):
        return redirect("transfer:report", project.pk, record.job_id)
    layout = _looked(record)
    form = _mapping_form(request, project, record, layout)
    action = request.POST.get("action")
    error = ""
    if request.method == "POST":
        try:
            layout = services.look(record, _how(request, record, layout))
            form = _mapping_form(request, project, record, layout)
            if action != "preview" and form.is_valid():
                options = form.options()
                if action == "check":
                    dry_run.begin(record=record, options=options, user=_person(request))
                else:
                    job = services.start_import(record=record, options=options, user=_person(request))
                    return redirect("transfer:report", project.pk, job.pk)
        except Invalid as invalid:
            error = invalid.message
        if error:
            form.add_error(None, error)
        elif action == "preview":
            chosen = _as_chosen(request, layout)
            form = MappingForm(None, layout=chosen, format_key=record.format, multiple=_multiple(project))
        elif action == "check" and form.is_valid() and request.headers.get("HX-Request") != "true":
            return redirect("transfer:mapping", project.pk, record.pk)
    context = {
        "project": project,
        "can": can,
        "active_tab": "import",
        "record": record,
        "format": FORMATS[record.format],
        "layout": layout,
        "form": form,
        "outdated": action == "preview",
        "shown_files": record.files[:SHOWN_FILES],
        "more_files": max(0, len(record.files) - SHOWN_FILES),
    } | _check_context(record, can)
    status = 422 if form.is_bound and form.errors else 200
    if request.headers.get("HX-Request") == "true":
        return render(request, "transfer/mapping.html#mapping", context, status=status)
    return render(request, "transfer/mapping.html", context, status=status)


@require_safe
@login_required
def check(request: HttpRequest, project_id: int, import_id: int) -> HttpResponse:
    """What the dry run found, or how far it is: the part of the mapping page that keeps itself current."""
    project, can = can_manage(request.user, project_id)
    record = _import(project, import_id)
    context = {"project": project, "can": can, "record": record} | _check_context(record, can)
    return render(request, "transfer/check.html", context)


@require_safe
@login_required
def check_errors(request: HttpRequest, project_id: int, import_id: int) -> HttpResponseBase:
    """All rows that the dry run would not take, or that somebody should look at, as CSV."""
    project, _ = can_manage(request.user, project_id)
    return errors_response(_import(project, import_id), checked=True)


@require_safe
@login_required
def picture(request: HttpRequest, project_id: int, import_id: int) -> HttpResponseBase:
    """`?number=`: the thumbnail of one of the first images, as the dry run saw it."""
    project, _ = can_manage(request.user, project_id)
    number = request.GET.get("number", "0")
    record = _import(project, import_id)
    if not (number.isdecimal() and int(number[:9]) < dry_run.PREVIEW_ITEMS):
        raise NotFound("There is no such picture.")
    try:
        response = file_response(record.picture_path(int(number)), "image/webp")
    except FileNotFoundError:
        raise NotFound("There is no such picture.") from None
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
@login_required
def report(request: HttpRequest, project_id: int, job_id: int) -> HttpResponse:
    """Progress while the job runs, then what came in and what did not."""
    project, can = can_manage(request.user, project_id)
    record = get_import_of_job(project.pk, job_id)
    assert record.job is not None
    counts = Counts.from_json(record.counts)
    context = {
        "project": project,
        "can": can,
        "active_tab": "import",
        "record": record,
        "job": record.job,
        "title": job_title(record.job),
        "can_cancel": can.manage,
        "counts": counts,
        "unknown_labels": _unknown_labels(counts),
        "errors": read_errors(record.errors_path, SHOWN_ERRORS) if counts.rejected or counts.listed else [],
        "worker": worker_state() if record.job.active else None,
        "can_retry": not record.job.active and record.job.state != Job.State.SUCCEEDED and record.has_files,
    }
    template = "transfer/report.html"
    if request.headers.get("HX-Request") == "true":
        template += "#report"
    return render(request, template, context)


@require_safe
@login_required
def report_errors(request: HttpRequest, project_id: int, job_id: int) -> HttpResponseBase:
    """All rows that could not be taken, as CSV."""
    project, _ = can_manage(request.user, project_id)
    return errors_response(get_import_of_job(project.pk, job_id))


def get_import_of_job(project_id: int, job_id: int) -> Import:
    """The import that a job does."""
    found = Import.objects.filter(project_id=project_id, job_id=job_id).select_related("job").first()
    if found is None:
        raise NotFound("There is no such import in this project.")
    return found


def errors_response(record: Import, *, checked: bool = False) -> HttpResponseBase:
    """The rows that could not be taken, or (`checked`) would not be."""
    path = record.check_path if checked else record.errors_path
    if not path.exists():
        raise NotFound("This import has no error rows.")
    response = file_response(path, "text/csv; charset=utf-8")
    name = f"import-{record.pk}-{'check' if checked else 'errors'}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


def first_check(record: Import, user: User | None) -> None:
    """Look into the files and begin their dry run as guessed; Invalid when nothing can be read.

    Where the guess does not do, the person chooses columns first.
    """
    options = services.look(record).options
    with suppress(Invalid):
        dry_run.begin(record=record, options=options, user=user)


def _looked(record: Import) -> Layout:
    """The files as they were last understood, or as guessed where that cannot be."""
    if record.options:
        with suppress(Invalid):
            return services.look(record, Options.from_json(record.options))
    return services.look(record)


def _check_context(record: Import, can: Can) -> dict[str, Any]:
    counts = Counts.from_json(record.report)
    job = record.dry_job
    return {
        "checked": bool(record.report),
        "counts": counts,
        "check_job": job,
        "fetches": FORMATS[record.format].fetches,
        "worker": worker_state() if job and job.active else None,
        "can_cancel": can.manage,
        "preview": record.report.get("preview", []),
        "splits": [(Item.Split(name).label, count) for name, count in sorted(counts.splits.items())],
        "unknown_labels": _unknown_labels(counts),
        "errors": read_errors(record.check_path, SHOWN_ERRORS) if counts.listed else [],
    }


def _unknown_labels(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts.unknown_labels.items(), key=lambda pair: -pair[1])[:SHOWN_ERRORS]


def refuse_large(request: HttpRequest) -> None:
    """TooLarge when the request announces more than uploads may have. Reads nothing."""
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if announced.isdecimal() and int(announced) > settings.MAX_UPLOAD_BYTES:
        megabytes = settings.MAX_UPLOAD_BYTES // 2**20
        raise TooLarge(
            f"The upload is larger than {megabytes:,} MiB.",
            hint="Split it, or ask an administrator to raise ANNOTATOR_MAX_UPLOAD_MB.",
        )


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)


def _import(project: Project, import_id: int) -> Import:
    found = (
        Import.objects.filter(project=project, pk=import_id)
        .select_related("job", "dry_job", "project")
        .first()
    )
    if found is None:
        raise NotFound(
            "There is no such upload in this project.", hint="Uploads without an import are kept a day."
        )
    return found


def _multiple(project: Project) -> bool:
    return project.task == Project.Task.MULTI


def _mapping_form(request: HttpRequest, project: Project, record: Import, layout: Layout) -> MappingForm:
    data = request.POST if request.method == "POST" else None
    return MappingForm(data, layout=layout, format_key=record.format, multiple=_multiple(project))


def _how(request: HttpRequest, record: Import, layout: Layout) -> Options | None:
    """The file's sheet, encoding, delimiter and header as chosen, for looking into it again; columns are guessed anew."""
    form = MappingForm(request.POST, layout=layout, format_key=record.format, multiple=False)
    form.is_valid()
    chosen = {name: form.cleaned_data[name] for name in MappingForm.HOW if form.cleaned_data.get(name)}
    if "header" in request.POST:
        chosen["header"] = request.POST["header"] == "yes"
    return Options.from_json(layout.options.to_json() | chosen)


def _as_chosen(request: HttpRequest, layout: Layout) -> Layout:
    """The layout with the person's choice of columns, as far as the file still has them."""
    known = {"", *layout.columns}
    chosen: dict[str, Any] = {
        name: request.POST[name] for name in MappingForm.COLUMNS if request.POST.get(name) in known
    }
    if not chosen.get("text"):
        return layout
    chosen |= {name: request.POST[name] for name in ("label_separator", "conflict") if name in request.POST}
    chosen["keep_rest"] = "keep_rest" in request.POST
    return replace(layout, options=Options.from_json(layout.options.to_json() | chosen))
