"""Bringing items in: choose files, say what their columns mean, watch, see what was wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from annotator.accounts.models import User
from annotator.common.downloads import file_response
from annotator.common.errors import AnnotatorError, Invalid, NotFound
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title, worker_state
from annotator.projects.access import can_manage
from annotator.projects.models import Project
from annotator.transfer import services
from annotator.transfer.counts import Counts, read_errors
from annotator.transfer.formats import FORMATS, Layout, Options, extensions
from annotator.transfer.forms import MappingForm, UploadForm
from annotator.transfer.models import Import

RECENT = 10
SHOWN_ERRORS = 50


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
    if request.method == "POST":
        form = UploadForm(request.POST, request.FILES, project=project)
        if form.is_valid():
            try:
                record = services.receive_files(
                    project=project, user=_person(request), files=form.cleaned_data["uploads"]
                )
                services.look(record)
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
        "formats": [each for each in FORMATS.values() if each.modality == project.modality],
        "extensions": extensions(project.modality),
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_files": settings.DATA_UPLOAD_MAX_NUMBER_FILES,
        "recent": [(each, Counts.from_json(each.counts)) for each in recent],
    }
    return render(request, "transfer/import.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def mapping(request: HttpRequest, project_id: int, import_id: int) -> HttpResponse:
    """What the columns mean, with the first rows to check it. 'preview' reads them again, 'start' imports."""
    project, can = can_manage(request.user, project_id)
    record = _import(project, import_id)
    if record.job and record.job.state in (Job.State.QUEUED, Job.State.RUNNING, Job.State.SUCCEEDED):
        return redirect("transfer:report", project.pk, record.job_id)
    layout = services.look(record)
    form = _mapping_form(request, project, record, layout)
    if request.method == "POST":
        error = ""
        try:
            layout = services.look(record, _how(request, layout))
            form = _mapping_form(request, project, record, layout)
            if request.POST.get("action") != "preview" and form.is_valid():
                job = services.start_import(record=record, options=form.options(), user=_person(request))
                return redirect("transfer:report", project.pk, job.pk)
        except Invalid as invalid:
            error = invalid.message
        if error:
            form.add_error(None, error)
        elif request.POST.get("action") == "preview":
            form = MappingForm(
                None,
                layout=_as_chosen(request, layout),
                format_key=record.format,
                multiple=_multiple(project),
            )
    context = {
        "project": project,
        "can": can,
        "active_tab": "import",
        "record": record,
        "format": FORMATS[record.format],
        "layout": layout,
        "form": form,
    }
    status = 422 if form.is_bound and form.errors else 200
    if request.headers.get("HX-Request") == "true":
        return render(request, "transfer/mapping.html#mapping", context, status=status)
    return render(request, "transfer/mapping.html", context, status=status)


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
        "unknown_labels": sorted(counts.unknown_labels.items(), key=lambda pair: -pair[1])[:SHOWN_ERRORS],
        "errors": read_errors(record.errors_path, SHOWN_ERRORS) if counts.rejected else [],
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
    found = Import.objects.filter(project_id=project_id, job_id=job_id).select_related("job").first()
    if found is None:
        raise NotFound("There is no such import in this project.")
    return found


def errors_response(record: Import) -> HttpResponseBase:
    if not record.errors_path.exists():
        raise NotFound("This import has no error rows.")
    response = file_response(record.errors_path, "text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{record.pk}-errors.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


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
    found = Import.objects.filter(project=project, pk=import_id).select_related("job", "project").first()
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


def _how(request: HttpRequest, layout: Layout) -> Options | None:
    """The file's encoding, delimiter and header as chosen, for looking into it again; columns are guessed anew."""
    form = MappingForm(request.POST, layout=layout, format_key="csv", multiple=False)
    form.is_valid()
    chosen = {name: form.cleaned_data[name] for name in MappingForm.HOW if form.cleaned_data.get(name)}
    if "header" in request.POST:
        chosen["header"] = request.POST["header"] == "yes"
    return Options.from_json(layout.options.to_json() | chosen)


def _as_chosen(request: HttpRequest, layout: Layout) -> Layout:
    """The layout with the person's choice of columns, as far as the file still has them."""
    known = {"", *layout.columns}
    chosen = {name: request.POST[name] for name in MappingForm.COLUMNS if request.POST.get(name) in known}
    if not chosen.get("text"):
        return layout
    return replace(layout, options=Options.from_json(layout.options.to_json() | chosen))
