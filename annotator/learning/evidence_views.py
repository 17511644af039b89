"""Pages of evidence: is it helping, when to stop, what the labels say; what if; a round again."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.models import User
from annotator.common.errors import AnnotatorError, Conflict
from annotator.common.pagination import key_from
from annotator.learning import evidence, evidence_enough, replayable, services, whatif
from annotator.learning.evidence_selectors import curves, report
from annotator.learning.whatif_forms import PreviewForm
from annotator.projects.access import can_inspect, can_manage


@login_required
@require_safe
def evidence_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """What is known. `?target=` asks how many labels an accuracy (in percent) would take."""
    project, can = can_inspect(request.user, project_id)
    context = {
        "project": project,
        "can": can,
        "active_tab": "evidence",
        "section": "evidence",
        "running": evidence.running(project.pk),
        "no_model": evidence.newest_model(project.pk) is None,
        **report(project, request.GET.get("target", "")),
    }
    template = (
        "learning/evidence.html#body" if request.headers.get("HX-Request") else "learning/evidence.html"
    )
    return render(request, template, context)


@login_required
@require_safe
def evidence_curve(request: HttpRequest, project_id: int) -> JsonResponse:
    """Random and served labels side by side, for the chart."""
    project, _ = can_inspect(request.user, project_id)
    return JsonResponse(curves(project))


@login_required
@require_POST
def measure(request: HttpRequest, project_id: int) -> HttpResponse:
    project, _ = can_manage(request.user, project_id)
    try:
        evidence.measure(project=project, by=cast(User, request.user))
    except Conflict as error:
        messages.error(request, " ".join(filter(None, [error.message, error.hint])))
    else:
        messages.success(request, "The evidence is being gathered.")
    return redirect("learning:evidence", project_id)


@login_required
@require_POST
def go_on(request: HttpRequest, project_id: int) -> HttpResponse:
    """Ask for labels again."""
    project, _ = can_manage(request.user, project_id)
    evidence_enough.go_on(project_id=project.pk, by=cast(User, request.user))
    messages.success(request, "New items are handed out again. It will not stop by itself any more.")
    return redirect("learning:evidence", project_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def whatif_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """The next fifty under another strategy, as a diff. `?job=` names an earlier preview; `refresh` shows the parameters of
    another choice and previews nothing."""
    status, form, draft = 200, None, "refresh" in request.POST
    if request.method == "POST":
        project, can = can_manage(request.user, project_id)
        form = PreviewForm(request.POST, project=project)
        if draft and request.headers.get("HX-Request"):
            return render(request, "learning/whatif.html#form", {"project": project, "form": form})
        if not draft and form.is_valid():
            try:
                job = whatif.start_preview(
                    project=project,
                    by=cast(User, request.user),
                    strategy=form.cleaned_data["strategy"],
                    params=form.params(),
                )
            except AnnotatorError as error:
                form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
            else:
                return redirect(f"{reverse('learning:whatif', args=[project_id])}?job={job.pk}")
        status = 200 if draft else 422
    else:
        project, can = can_inspect(request.user, project_id)
    job_id = key_from(request.GET.get("job", ""))
    shown = whatif.preview_job(project.pk, job_id)
    context: dict[str, Any] = {
        "project": project,
        "can": can,
        "active_tab": "evidence",
        "section": "whatif",
        "form": form or PreviewForm(project=project, shown=shown.params if shown else None),
        "job": shown,
        "title": shown.params.get("title", "") if shown else "",
        "lines": whatif.diff(project.pk, shown.result)
        if shown and shown.result.get("then") is not None
        else None,
    }
    template = "learning/whatif.html#result" if request.headers.get("HX-Request") else "learning/whatif.html"
    return render(request, template, context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def replay_page(request: HttpRequest, project_id: int, number: int) -> HttpResponse:
    """One round again: what is kept of it, and whether it gives the same list."""
    if request.method == "POST":
        project, can = can_manage(request.user, project_id)
        round_ = services.round_of(project.pk, number)
        replayable.start_replay(round_=round_, by=cast(User, request.user))
        return redirect("learning:replay", project_id, number)
    project, can = can_inspect(request.user, project_id)
    round_ = services.round_of(project.pk, number)
    job = replayable.replays_of(round_)
    context = {
        "project": project,
        "can": can,
        "active_tab": "models",
        "round": round_,
        "gone": replayable.missing_parts(round_) if round_.published_at else None,
        "job": job,
        "title": f"Replay of round {round_.number}",
        "items": whatif.named(project.pk, job.result.get("items", [])) if job else [],
    }
    template = "learning/replay.html#body" if request.headers.get("HX-Request") else "learning/replay.html"
    return render(request, template, context)
