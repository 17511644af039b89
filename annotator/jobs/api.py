"""Background work for programs: list, look, cancel."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.pagination import keyset_page
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title
from annotator.jobs.services import cancel_job
from annotator.jobs.views import get_job
from annotator.projects.access import INSPECTORS, MANAGERS, require_role

PAGE = 100
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


class JobPageOut(serializers.Serializer[Any]):
    results = JobOut(many=True)
    next_after = serializers.IntegerField(allow_null=True, help_text="Pass as `after` for the next page.")


class JobQueryIn(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0)
    state = serializers.ChoiceField(choices=Job.State.choices, required=False)
    kind = serializers.CharField(required=False, max_length=50)


@extend_schema(
    operation_id="jobs_list",
    parameters=[
        OpenApiParameter("after", int),
        OpenApiParameter("state", str, enum=Job.State.values),
        OpenApiParameter("kind", str),
    ],
    responses=JobPageOut,
)
@api_view(["GET"])
def job_list(request: Request, project_id: int) -> Response:
    """The project's jobs, newest first."""
    require_role(current_user(request), project_id, INSPECTORS)
    query = JobQueryIn(data=request.query_params)
    query.is_valid(raise_exception=True)
    values = query.validated_data
    jobs = Job.objects.filter(project_id=project_id)
    for name in ("state", "kind"):
        if name in values:
            jobs = jobs.filter(**{name: values[name]})
    page = keyset_page(jobs, key="pk", after=values.get("after"), size=PAGE, descending=True)
    return Response({"results": [job_json(job) for job in page.rows], "next_after": page.next_after})


@extend_schema(operation_id="jobs_retrieve", responses=JobOut)
@api_view(["GET"])
def job_detail(request: Request, project_id: int, job_id: int) -> Response:
    """One job."""
    require_role(current_user(request), project_id, INSPECTORS)
    return Response(job_json(get_job(project_id, job_id)))


@extend_schema(operation_id="jobs_cancel", request=None, responses={202: JobOut})
@api_view(["POST"])
def cancel(request: Request, project_id: int, job_id: int) -> Response:
    """Ask a job to stop; 409 when it has ended already."""
    require_role(current_user(request), project_id, MANAGERS)
    job = get_job(project_id, job_id)
    cancel_job(job=job)
    job.refresh_from_db()
    return Response(job_json(job), status=202)


def job_json(job: Job) -> dict[str, Any]:
    return {"title": job_title(job), **{name: getattr(job, name) for name in ATTRIBUTES}}
