"""The strategy lab over the API: what a backtest would take, begin one, follow it, use what it found."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.etag import tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import MANAGE, READ, needs
from annotator.learning import lab, services
from annotator.learning.api import SettingsData
from annotator.learning.lab_data import Counts, count_labels
from annotator.learning.lab_forms import POOLS
from annotator.learning.lab_plan import MOST_STRATEGIES, SEEDS, default_values
from annotator.learning.models import Backtest, BacktestRun
from annotator.projects.access import can_inspect, can_manage
from annotator.projects.models import Project

STATES = ["running", "done", "cancelled", "failed"]


class CandidateIn(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=100)
    params = serializers.DictField(required=False, help_text="Default: the project's own, or the strategy's.")
    name = serializers.CharField(
        required=False, max_length=100, help_text="To tell two variants of one strategy apart."
    )


class BacktestIn(serializers.Serializer[Any]):
    """Everything has the default that the page proposes."""

    strategies = serializers.ListField(
        child=CandidateIn(), required=False, min_length=1, max_length=MOST_STRATEGIES
    )
    seeds = serializers.ChoiceField(choices=[(count, str(count)) for count in SEEDS], required=False)
    budget = serializers.IntegerField(required=False, min_value=1, max_value=10**6)
    batch = serializers.IntegerField(required=False, min_value=1, max_value=10**6)
    pool = serializers.ChoiceField(choices=POOLS, required=False)


class UseIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100, help_text="Of a strategy of the backtest.")


class DurationOut(serializers.Serializer[Any]):
    low = serializers.FloatField(help_text="Seconds, if all is decided at the first look.")
    high = serializers.FloatField(help_text="Seconds, if every seed has to be played.")
    measured = serializers.BooleanField(help_text="Whether earlier runs of this project were measured.")


class BacktestEstimateOut(serializers.Serializer[Any]):
    settings = serializers.DictField()
    seconds = DurationOut()
    labels = serializers.IntegerField()
    judges = serializers.IntegerField(
        help_text="Labels that may judge: randomly drawn ones, or the test split's."
    )


class RunOut(serializers.ModelSerializer[BacktestRun]):
    class Meta:
        model = BacktestRun
        fields = ["name", "seed", "labels", "scores", "held_out", "seconds", "error"]


class BacktestData(serializers.ModelSerializer[Backtest]):
    state = serializers.ChoiceField(choices=STATES)
    job = serializers.IntegerField(source="job_id", allow_null=True)

    class Meta:
        model = Backtest
        fields = [
            "id",
            "state",
            "job",
            "settings",
            "facts",
            "estimate",
            "result",
            "created_at",
            "finished_at",
        ]


class BacktestDetail(BacktestData):
    runs = RunOut(many=True)

    class Meta(BacktestData.Meta):
        fields = [*BacktestData.Meta.fields, "runs"]


def _values(project: Project, request: Request) -> tuple[dict[str, Any], Counts]:
    """What was sent, completed with the defaults, and what there is to replay on."""
    given = parsed(BacktestIn, request)
    chosen = services.settings_of(project)
    counts = count_labels(chosen)
    return default_values(chosen, counts) | given, counts


@extend_schema(
    methods=["GET"],
    operation_id="backtests_list",
    parameters=[PageQuery],
    responses=page_out("BacktestsPage", BacktestData),
)
@extend_schema(
    methods=["POST"],
    operation_id="backtests_start",
    request=BacktestIn,
    responses={202: BacktestData},
    examples=[
        OpenApiExample(
            "Two strategies",
            {"strategies": [{"key": "margin"}, {"key": "entropy"}], "seeds": 5, "budget": 300, "batch": 25},
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def backtests(request: Request, project_id: int) -> Response:
    """Backtests, newest first; POST begins one. 409 while one runs, or while too few randomly drawn labels are there."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        values, counts = _values(project, request)
        backtest = lab.start_backtest(project=project, by=user, values=values, counts=counts)
        return Response(BacktestData(backtest).data, status=202)
    project, _ = can_inspect(user, project_id)
    rows = Backtest.objects.filter(project=project).select_related("job").defer("data")
    return listed(
        request, rows, queried(PageQuery, request), lambda found: list(BacktestData(found, many=True).data)
    )


@extend_schema(operation_id="backtests_estimate", request=BacktestIn, responses=BacktestEstimateOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def estimate(request: Request, project_id: int) -> Response:
    """What a backtest would do and how many seconds it would take, without beginning it."""
    project, _ = can_manage(current_user(request), project_id)
    settings, takes, counts = lab.plan(project, *_values(project, request))
    return Response(
        {"settings": settings, "seconds": takes.as_json(), "labels": counts.labels, "judges": counts.judges}
    )


@extend_schema(methods=["GET"], operation_id="backtests_get", responses=BacktestDetail)
@extend_schema(methods=["DELETE"], operation_id="backtests_delete", responses={204: None})
@api_view(["GET", "DELETE"])
@needs(GET=READ, DELETE=MANAGE, tagged=True)
def backtest_detail(request: Request, project_id: int, backtest_id: int) -> Response:
    """One backtest with every run that ended; DELETE forgets it (409 while it runs)."""
    if request.method == "DELETE":
        can_manage(current_user(request), project_id)
        lab.delete_backtest(backtest=lab.backtest_of(project_id, backtest_id))
        return Response(status=204)
    can_inspect(current_user(request), project_id)
    return tagged(request, dict(BacktestDetail(lab.backtest_of(project_id, backtest_id)).data))


@extend_schema(operation_id="backtests_cancel", request=None, responses={202: BacktestData})
@api_view(["POST"])
@needs(POST=MANAGE)
def cancel(request: Request, project_id: int, backtest_id: int) -> Response:
    """Ask it to stop; the runs that ended are kept."""
    can_manage(current_user(request), project_id)
    lab.cancel_backtest(backtest=lab.backtest_of(project_id, backtest_id))
    return Response(BacktestData(lab.backtest_of(project_id, backtest_id)).data, status=202)


@extend_schema(operation_id="backtests_resume", request=None, responses={202: BacktestData})
@api_view(["POST"])
@needs(POST=MANAGE)
def resume(request: Request, project_id: int, backtest_id: int) -> Response:
    """Go on with one that was cancelled or failed."""
    user = current_user(request)
    can_manage(user, project_id)
    lab.resume_backtest(backtest=lab.backtest_of(project_id, backtest_id), by=user)
    return Response(BacktestData(lab.backtest_of(project_id, backtest_id)).data, status=202)


@extend_schema(operation_id="backtests_use", request=UseIn, responses=SettingsData)
@api_view(["POST"])
@needs(POST=MANAGE)
def use(request: Request, project_id: int, backtest_id: int) -> Response:
    """One of its strategies becomes the project's, with the parameters it was tried with."""
    user = current_user(request)
    can_manage(user, project_id)
    backtest = lab.backtest_of(project_id, backtest_id)
    name = parsed(UseIn, request)["name"]
    return Response(SettingsData(lab.use_strategy(backtest=backtest, name=name, by=user)).data)
