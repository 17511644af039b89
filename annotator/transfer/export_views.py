"""Taking data out: what is there, a new export, what it would lose, snapshots.

Managers make exports and snapshots; whoever may see everybody's answers anyway (reviewers, viewers) may fetch them; an owner
alone deletes snapshots.
"""

from __future__ import annotations

import mimetypes
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.models import User
from annotator.common.downloads import resumable_response
from annotator.common.errors import AnnotatorError, Forbidden, Invalid, NotFound
from annotator.jobs.selectors import job_title, worker_state
from annotator.projects.access import Can, can_inspect, can_manage, can_own
from annotator.projects.models import Project
from annotator.quality.serving import conceals
from annotator.transfer import exports, snapshots
from annotator.transfer.export_forms import DeleteSnapshotForm, ExportForm, SnapshotForm
from annotator.transfer.export_selectors import exports_of, get_export, get_snapshot, snapshots_of
from annotator.transfer.formats import FORMATS, export_formats
from annotator.transfer.losses import lacks
from annotator.transfer.models import Export

RECENT = 50
TELLING_GOLD = frozenset({"native"})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def exports_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """Exports and snapshots there are; managers begin new ones here."""
    if request.method != "POST":
        project, can = can_inspect(request.user, project_id)
        return _page(request, project, can, ExportForm(project=project), SnapshotForm(project=project))
    project, can = can_manage(request.user, project_id)
    form = ExportForm(request.POST, project=project)
    if form.is_valid():
        try:
            export = exports.create_export(project=project, user=_person(request), **form.choices())
        except AnnotatorError as error:
            form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
        else:
            return redirect("transfer:export", project.pk, export.pk)
    return _page(request, project, can, form, SnapshotForm(project=project), status=422)


@require_safe
@login_required
def losses(request: HttpRequest, project_id: int) -> HttpResponse:
    """What the export that is being chosen would lose: counted where that is quick, else what the format cannot hold."""
    project, _ = can_manage(request.user, project_id)
    form = ExportForm(request.GET, project=project)
    context: dict[str, Any] = {"project": project}
    if form.is_valid():
        chosen = form.choices()
        kind = exports.export_format(project, chosen["format_key"])
        context |= {"format": kind, "lacks": lacks(kind.holds)}
        try:
            context["losses"] = exports.preview_losses(
                project=project,
                kind=kind,
                snapshot=chosen["snapshot"],
                selection=chosen["selection"],
                formula_guard=chosen["formula_guard"],
            )
        except AnnotatorError as error:
            context["problem"] = error.message
    else:
        context["problem"] = " ".join(str(error) for errors in form.errors.values() for error in errors)
    return render(request, "transfer/exports.html#losses", context)


@require_safe
@login_required
def export_page(request: HttpRequest, project_id: int, export_id: int) -> HttpResponse:
    """Progress while it is written, then files, digest and what was lost."""
    project, can = can_inspect(request.user, project_id)
    export = get_export(project.pk, export_id)
    context = {
        "project": project,
        "can": can,
        "active_tab": "export",
        "export": export,
        "format": FORMATS.get(export.format),
        "job": export.job,
        "title": job_title(export.job) if export.job else "",
        "can_cancel": can.manage,
        "worker": worker_state() if export.job and export.job.active else None,
        "counts": export.manifest.get("counts", {}),
    }
    template = "transfer/export.html"
    if request.headers.get("HX-Request") == "true":
        template += "#export"
    return render(request, template, context)


@require_safe
@login_required
def download(request: HttpRequest, project_id: int, export_id: int) -> HttpResponseBase:
    """A file of the export, the data unless `?file=` names another; broken downloads can be resumed."""
    project, can = can_inspect(request.user, project_id)
    return download_response(request, get_export(project.pk, export_id), can, request.GET.get("file", ""))


@require_POST
@login_required
def delete(request: HttpRequest, project_id: int, export_id: int) -> HttpResponse:
    project, _ = can_manage(request.user, project_id)
    exports.delete_export(export=get_export(project.pk, export_id))
    messages.success(request, "The export was deleted.")
    return redirect("transfer:exports", project.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def create_snapshot(request: HttpRequest, project_id: int) -> HttpResponse:
    """Freeze the data set; who comes here by the address of a form that was wrong is led back to it."""
    project, can = can_manage(request.user, project_id)
    if request.method != "POST":
        return redirect("transfer:exports", project.pk)
    form = SnapshotForm(request.POST, project=project)
    if form.is_valid():
        try:
            snapshots.create_snapshot(project=project, user=_person(request), **form.choices())
        except AnnotatorError as error:
            form.add_error("name", error.message)
        else:
            return redirect("transfer:exports", project.pk)
    return _page(request, project, can, ExportForm(project=project), form, status=422)


@require_POST
@login_required
def delete_snapshot(request: HttpRequest, project_id: int, snapshot_id: int) -> HttpResponse:
    """For good, after its name was typed."""
    project, _ = can_own(request.user, project_id)
    snapshot = get_snapshot(project.pk, snapshot_id)
    form = DeleteSnapshotForm(request.POST)
    if not form.is_valid():
        raise Invalid("Type the snapshot's name to delete it.", code="not_confirmed")
    snapshots.delete_snapshot(snapshot=snapshot, confirmation=form.cleaned_data["confirmation"])
    messages.success(request, f"The snapshot “{snapshot.name}” was deleted.")
    return redirect("transfer:exports", project.pk)


def download_response(request: HttpRequest, export: Export, can: Can, name: str) -> HttpResponseBase:
    """The named file, the first one for no name; NotFound while there is none.

    Forbidden where it would tell somebody who may label which items are gold.
    """
    if export.format in TELLING_GOLD and not can.manage and conceals(export.project_id):
        raise Forbidden(
            "This export tells which items are gold, so only managers may have it.",
            hint="Ask for one in another format.",
        )
    chosen = next((each for each in export.files if not name or each["name"] == name), None)
    if chosen is None:
        raise NotFound("There is no such file in this export.", hint="It may still be being written.")
    path = export.path_of(chosen["name"])
    if path is None or not path.exists():
        raise NotFound("The files of this export are no longer on the server.", code="files_gone")
    kind = mimetypes.guess_type(chosen["name"])[0] or "application/octet-stream"
    return resumable_response(request, path, kind, name=chosen["name"], etag=chosen["sha256"])


def _page(
    request: HttpRequest,
    project: Project,
    can: Can,
    form: ExportForm,
    snapshot_form: SnapshotForm,
    *,
    status: int = 200,
) -> HttpResponse:
    found = list(exports_of(project.pk)[:RECENT])
    frozen = list(snapshots_of(project.pk)[:RECENT])
    context = {
        "project": project,
        "can": can,
        "active_tab": "export",
        "form": form,
        "snapshot_form": snapshot_form,
        "formats": export_formats(modality=project.modality, task=project.task),
        "exports": [(each, FORMATS.get(each.format)) for each in found],
        "snapshots": frozen,
        "busy": any(
            job.active for job in [each.job for each in found] + [each.job for each in frozen] if job
        ),
        "has_items": project.items.exists(),
    }
    if request.headers.get("HX-Request") == "true" and request.method == "GET":
        return render(request, "transfer/exports.html#lists", context)
    return render(request, "transfer/exports.html", context, status=status)


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)
