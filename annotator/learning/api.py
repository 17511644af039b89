"""Learning over the API: settings, rounds, models, predictions, health, and what can be chosen."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.errors import Invalid
from annotator.common.pagination import keyset_page
from annotator.items.models import Item
from annotator.learning import catalogue, selectors, services
from annotator.learning.models import LearningSettings, ModelVersion, Round
from annotator.projects.access import can_inspect, can_manage

PAGE, LARGEST_PAGE = 100, 1_000


class SettingsData(serializers.ModelSerializer[LearningSettings]):
    class Meta:
        model = LearningSettings
        fields = [
            "encoder", "encoder_params", "strategy", "strategy_params", "cold_strategy", "cold_params",
            "batch_size", "retrain_labels", "retrain_minutes", "exploration_share", "randomness", "paused",
        ]  # fmt: skip


class RoundData(serializers.ModelSerializer[Round]):
    model = serializers.IntegerField(source="model.number", allow_null=True, default=None)

    class Meta:
        model = Round
        fields = [
            "number", "state", "step", "trigger", "strategy", "model", "n_labels", "seed", "training_digest",
            "pool_digest", "health", "timings", "error", "created_at", "frozen_at", "published_at",
        ]  # fmt: skip


class ModelData(serializers.ModelSerializer[ModelVersion]):
    schema_version = serializers.IntegerField(source="schema.version")

    class Meta:
        model = ModelVersion
        fields = [
            "number", "digest", "encoder", "encoder_digest", "schema_version", "settings", "training_digest",
            "n_labels", "class_keys", "metrics", "in_use", "weights_removed", "created_at",
        ]  # fmt: skip


class RoundPage(serializers.Serializer[Any]):
    results = RoundData(many=True)
    next_after = serializers.IntegerField(allow_null=True)


class ModelPage(serializers.Serializer[Any]):
    results = ModelData(many=True)
    next_after = serializers.IntegerField(allow_null=True)


class PredictionData(serializers.Serializer[Any]):
    row = serializers.IntegerField()
    external_id = serializers.CharField()
    classes = serializers.DictField(child=serializers.FloatField(), allow_null=True)


class PredictionPage(serializers.Serializer[Any]):
    model = serializers.IntegerField()
    round = serializers.IntegerField()
    results = PredictionData(many=True)
    next_after = serializers.IntegerField(allow_null=True)


class PredictionQuery(serializers.Serializer[Any]):
    split = serializers.ChoiceField(choices=Item.Split.choices, default=Item.Split.POOL)
    after = serializers.IntegerField(default=-1, min_value=-1)
    limit = serializers.IntegerField(default=LARGEST_PAGE, min_value=1, max_value=LARGEST_PAGE)


class PageQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0)
    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=LARGEST_PAGE)


class StrategyData(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    advice = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField())
    tasks = serializers.ListField(child=serializers.CharField())
    batch_aware = serializers.BooleanField()
    params = serializers.DictField()
    reference = serializers.CharField()
    version = serializers.IntegerField()
    usable_warm = serializers.BooleanField()
    usable_cold = serializers.BooleanField()


class EncoderData(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    advice = serializers.CharField()
    params = serializers.DictField()
    needs_fit = serializers.CharField()
    reference = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()


PAGED = [
    OpenApiParameter("after", OpenApiTypes.INT, description="`next_after` of the page before."),
    OpenApiParameter("limit", OpenApiTypes.INT),
]


@extend_schema(methods=["GET"], responses=SettingsData)
@extend_schema(methods=["PATCH"], request=SettingsData(partial=True), responses=SettingsData)
@api_view(["GET", "PATCH"])
def learning(request: Request, project_id: int) -> Response:
    """Encoder, strategies, triggers. Parameters are checked against the specifications of what is chosen."""
    user = current_user(request)
    if request.method == "GET":
        project, _ = can_inspect(user, project_id)
        return Response(SettingsData(services.settings_of(project)).data)
    project, _ = can_manage(user, project_id)
    settings = services.settings_of(project)
    checked = SettingsData(settings, data=request.data, partial=True)
    checked.is_valid(raise_exception=True)
    if unknown := set(request.data) - set(SettingsData.Meta.fields):
        raise Invalid(f"There is no setting '{sorted(unknown)[0]}'.", code="unknown_setting")
    values = dict(checked.validated_data)
    for choice, params in (
        ("encoder", "encoder_params"), ("strategy", "strategy_params"), ("cold_strategy", "cold_params"),
    ):  # fmt: skip
        # Another choice does not know the parameters of the one before.
        if values.get(choice, getattr(settings, choice)) != getattr(settings, choice):
            values.setdefault(params, {})
    return Response(SettingsData(services.update_settings(settings=settings, by=user, values=values)).data)


@extend_schema(methods=["GET"], parameters=PAGED, responses=RoundPage)
@extend_schema(methods=["POST"], request=None, responses={202: RoundData})
@api_view(["GET", "POST"])
def rounds(request: Request, project_id: int) -> Response:
    """The passes of the loop, newest first; POST begins one now."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        return Response(RoundData(services.start_round(project=project, by=user)).data, status=202)
    project, _ = can_inspect(user, project_id)
    query = _query(PageQuery, request)
    page = keyset_page(
        Round.objects.filter(project=project).select_related("model"),
        key="number", after=query.get("after"), size=query["limit"], descending=True,
    )  # fmt: skip
    return Response({"results": RoundData(page.rows, many=True).data, "next_after": page.next_after})


@extend_schema(parameters=PAGED, responses=ModelPage)
@api_view(["GET"])
def models(request: Request, project_id: int) -> Response:
    """Trained models with digests and measures, newest first."""
    project, _ = can_inspect(current_user(request), project_id)
    query = _query(PageQuery, request)
    page = keyset_page(
        ModelVersion.objects.filter(project=project).select_related("schema"),
        key="number", after=query.get("after"), size=query["limit"], descending=True,
    )  # fmt: skip
    return Response({"results": ModelData(page.rows, many=True).data, "next_after": page.next_after})


@extend_schema(request=None, responses={202: RoundData})
@api_view(["POST"])
def use(request: Request, project_id: int, number: int) -> Response:
    """Go back to this model: in use from now on; a round scores and ranks with it."""
    user = current_user(request)
    can_manage(user, project_id)
    round_ = services.roll_back(version=services.model_of(project_id, number), by=user)
    return Response(RoundData(round_).data, status=202)


@extend_schema(responses=OpenApiTypes.OBJECT)
@api_view(["GET"])
def health(request: Request, project_id: int) -> Response:
    """How good the ranking is that people are served, and what failed last."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response(selectors.health(project))


@extend_schema(parameters=[PredictionQuery], responses=PredictionPage)
@api_view(["GET"])
def predictions(request: Request, project_id: int) -> Response:
    """Class probabilities of the model in use, by row; test items can be asked for too."""
    project, _ = can_inspect(current_user(request), project_id)
    query = _query(PredictionQuery, request)
    return Response(
        selectors.predictions_page(project, split=query["split"], after=query["after"], size=query["limit"])
    )


@extend_schema(responses=StrategyData(many=True))
@api_view(["GET"])
def strategies(request: Request, project_id: int) -> Response:
    """Strategies for this project's task, with the parameters of each."""
    project, _ = can_inspect(current_user(request), project_id)
    task = catalogue.task_of(project)
    warm = {strategy.spec.key for strategy in catalogue.strategies(task, cold=False)}
    cold = {strategy.spec.key for strategy in catalogue.strategies(task, cold=True)}
    return Response(
        [
            {
                "key": spec.key, "title": spec.title, "advice": spec.advice, "needs": sorted(spec.needs),
                "tasks": sorted(spec.tasks), "batch_aware": spec.batch_aware, "params": dict(spec.params),
                "reference": spec.reference, "version": spec.version,
                "usable_warm": spec.key in warm, "usable_cold": spec.key in cold,
            }
            for spec in catalogue.all_strategies(task)
        ]
    )  # fmt: skip


@extend_schema(responses=EncoderData(many=True))
@api_view(["GET"])
def encoders(request: Request, project_id: int) -> Response:
    """Encoders for this project's kind of item, and whether each can be used here."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response([catalogue.encoder_json(spec) for spec in catalogue.encoders(project.modality)])


def _query(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    checked = serializer(data=request.query_params)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
