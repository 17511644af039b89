"""Background work for programs: list, look, cancel."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, queried
from annotator.common.etag import tagged
from annotator.common.permissions import MANAGE, READ, needs
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title
from annotator.jobs.services import cancel_job
from annotator.jobs.views import get_job
from annotator.projects.access import INSPECTORS, MANAGERS, require_role

ATTRIBUTES = (
    *("id", "kind", "state", "stage", "done", "total", "share", "seconds_left", "message", "error", "result"),
    *("cancel_requested", "created_at", "started_at", "finished_at"),
)


class JobOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=Job.State.choices)
    stage = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    share = serializers.FloatField(allow_null=True, help_text="Progress from 0 to 1; null while unknown.")
    seconds_left = serializers.FloatField(allow_null=True)
    message = serializers.CharField()
    error = serializers.CharField()
    result = serializers.DictField()
    cancel_requested = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class JobQuery(PageQuery):
    state = serializers.ChoiceField(choices=Job.State.choices, required=False)
    kind = serializers.CharField(required=False, max_length=50)


@extend_schema(operation_id="jobs_list", parameters=[JobQuery], responses=page_out("JobsPage", JobOut))
@api_view(["GET"])
@needs(GET=READ)
def job_list(request: Request, project_id: int) -> Response:
    """The project's jobs, newest first."""
    require_role(current_user(request), project_id, INSPECTORS)
    values = queried(JobQuery, request)
    jobs = Job.objects.filter(project_id=project_id)
    for name in ("state", "kind"):
        if name in values:
            jobs = jobs.filter(**{name: values[name]})
    return listed(request, jobs, values, lambda rows: [job_json(job) for job in rows])


@extend_schema(operation_id="jobs_retrieve", responses=JobOut)
@api_view(["GET"])
@needs(GET=READ, tagged=True)
def job_detail(request: Request, project_id: int, job_id: int) -> Response:
    """One job."""
    require_role(current_user(request), project_id, INSPECTORS)
    return tagged(request, job_json(get_job(project_id, job_id)))


@extend_schema(operation_id="jobs_cancel", request=None, responses={202: JobOut})
@api_view(["POST"])
@needs(POST=MANAGE)
def cancel(request: Request, project_id: int, job_id: int) -> Response:
    """Ask a job to stop; 409 when it has ended already."""
    require_role(current_user(request), project_id, MANAGERS)
    job = get_job(project_id, job_id)
    cancel_job(job=job)
    job.refresh_from_db()
    return Response(job_json(job), status=202)


def job_json(job: Job) -> dict[str, Any]:
    return {"title": job_title(job), **{name: getattr(job, name) for name in ATTRIBUTES}}
