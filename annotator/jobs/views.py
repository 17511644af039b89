"""A project's background work, live."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotator.common.errors import NotFound
from annotator.common.pagination import key_from, keyset_page
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title, worker_state
from annotator.jobs.services import cancel_job
from annotator.projects.access import can_inspect, can_manage

PAGE = 30


@require_safe
@login_required
def job_list(request: HttpRequest, project_id: int) -> HttpResponse:
    """Jobs, newest first. htmx asks for the list alone."""
    project, can = can_inspect(request.user, project_id)
    after = request.GET.get("after", "")
    page = keyset_page(
        Job.objects.filter(project=project),
        key="pk",
        after=key_from(after),
        size=PAGE,
        descending=True,
    )
    context = {
        "project": project,
        "can": can,
        "active_tab": "jobs",
        "page": page,
        "after": after,
        "jobs": [(job, job_title(job)) for job in page.rows],
        "worker": worker_state(),
    }
    template = "jobs/list.html#jobs" if request.headers.get("HX-Request") == "true" else "jobs/list.html"
    return render(request, template, context)


@require_safe
@login_required
def card(request: HttpRequest, project_id: int, job_id: int) -> HttpResponse:
    """One job, as pages embed it."""
    project, can = can_inspect(request.user, project_id)
    return _card(request, get_job(project.pk, job_id), can_cancel=can.manage)


@require_POST
@login_required
def cancel(request: HttpRequest, project_id: int, job_id: int) -> HttpResponse:
    """Ask a job to stop; it does so at its next step."""
    project, _ = can_manage(request.user, project_id)
    job = get_job(project.pk, job_id)
    cancel_job(job=job)
    if request.headers.get("HX-Request") == "true":
        job.refresh_from_db()
        return _card(request, job, can_cancel=True)
    return redirect("jobs:list", project.pk)


def get_job(project_id: int, job_id: int) -> Job:
    job = Job.objects.filter(project_id=project_id, pk=job_id).first()
    if job is None:
        raise NotFound("There is no such job in this project.")
    return job


def _card(request: HttpRequest, job: Job, *, can_cancel: bool) -> HttpResponse:
    context = {"job": job, "title": job_title(job), "can_cancel": can_cancel, "live": True}
    return render(request, "jobs/_card.html", context)
