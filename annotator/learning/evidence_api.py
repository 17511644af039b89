"""Evidence, previews and replays over the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import parsed
from annotator.common.idempotency import idempotent
from annotator.common.permissions import MANAGE, READ, needs
from annotator.jobs.api import JobOut, job_json
from annotator.learning import evidence, replayable, services, whatif
from annotator.learning.evidence_selectors import report
from annotator.learning.models import AskingStop
from annotator.projects.access import can_inspect, can_manage

STATES = ["few", "unclear", "saved", "none"]


class HelpingOut(serializers.Serializer[Any]):
    """The numbers behind it depend on the state; these are always there."""

    state = serializers.ChoiceField(choices=STATES)
    headline = serializers.CharField()
    text = serializers.CharField()
    advice = serializers.CharField(allow_blank=True)
    n_random = serializers.IntegerField()


class StopOut(serializers.ModelSerializer[AskingStop]):
    class Meta:
        model = AskingStop
        fields = ["created_at", "n_labels", "reason", "evidence"]


class EvidenceOut(serializers.Serializer[Any]):
    measured_at = serializers.DateTimeField(allow_null=True)
    n_labels = serializers.IntegerField(allow_null=True)
    helping = HelpingOut()
    stopping = serializers.DictField(allow_null=True)
    estimates = serializers.DictField(allow_null=True)
    stopped = StopOut(allow_null=True, help_text="Set while no new items are handed out because of it.")
    job = serializers.IntegerField(allow_null=True, help_text="Of the measurement that is under way.")


class PreviewIn(serializers.Serializer[Any]):
    strategy = serializers.CharField(max_length=100)
    params = serializers.DictField(required=False, default=dict)


@extend_schema(
    methods=["GET"],
    operation_id="evidence_get",
    parameters=[
        OpenApiParameter("target", str, description="An accuracy in percent: how many labels will it take?")
    ],
    responses=EvidenceOut,
)
@extend_schema(methods=["POST"], operation_id="evidence_measure", request=None, responses={202: JobOut})
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def evidence_view(request: Request, project_id: int) -> Response:
    """Whether the strategy helps, when to stop, accuracy and class shares without the strategy's bias. POST measures now."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        return Response(job_json(evidence.measure(project=project, by=user)), status=202)
    project, _ = can_inspect(user, project_id)
    told = report(project, request.query_params.get("target", ""))
    found, running = told.pop("evidence"), evidence.running(project.pk)
    stop = told["helping"].pop("stopped")
    return Response(
        {
            "measured_at": found.created_at if found else None,
            "n_labels": found.n_labels if found else None,
            "job": running.pk if running else None,
            "stopped": dict(StopOut(stop).data) if stop else None,
            **told,
        }
    )


@extend_schema(
    operation_id="preview_start",
    request=PreviewIn,
    responses={202: JobOut},
    examples=[OpenApiExample("Another strategy", {"strategy": "entropy"}, request_only=True)],
)
@api_view(["POST"])
@needs(POST=MANAGE)
@idempotent()
def preview(request: Request, project_id: int) -> Response:
    """The next fifty items under another strategy, in the result of the job: `now`, `then`, `common`. Nothing changes."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    values = parsed(PreviewIn, request)
    job = whatif.start_preview(project=project, by=user, strategy=values["strategy"], params=values["params"])
    return Response(job_json(job), status=202)


@extend_schema(operation_id="rounds_replay", request=None, responses={202: JobOut})
@api_view(["POST"])
@needs(POST=MANAGE)
@idempotent()
def replay(request: Request, project_id: int, number: int) -> Response:
    """Rank again as this round did; `same` in the job's result. 409 names what is not kept any more."""
    user = current_user(request)
    can_manage(user, project_id)
    job = replayable.start_replay(round_=services.round_of(project_id, number), by=user)
    return Response(job_json(job), status=202)
