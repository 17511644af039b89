"""Learning over the API: settings, rounds, models, predictions, health, and what can be chosen."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from acquisition.composition import OPTIONS
from annotator.accounts.authentication import current_user
from annotator.common.api import LARGEST_PAGE, PageQuery, listed, page_out, page_response, parsed, queried
from annotator.common.errors import Invalid
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import IMPORT, MANAGE, READ, needs
from annotator.items.models import Item
from annotator.learning import catalogue, pushed, selectors, services
from annotator.learning.models import LearningSettings, ModelVersion, Round
from annotator.projects.access import can_inspect, can_manage


class SettingsData(serializers.ModelSerializer[LearningSettings]):
    preset_params = serializers.DictField(required=False)
    composition = serializers.DictField(
        required=False, help_text="Further `terms` ({strategy, params, strength}) and `options`."
    )

    class Meta:
        model = LearningSettings
        fields = [
            "encoder", "encoder_params", "preset", "preset_params", "strategy", "strategy_params", "composition",
            "cold_strategy", "cold_params", "cold_labels", "item_filter", "batch_size", "retrain_labels", "retrain_minutes", "exploration_share", "randomness", "paused", "stop_asking",
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


class RoundQuery(PageQuery):
    state = serializers.ChoiceField(choices=Round.State.choices, required=False)


class PredictionData(serializers.Serializer[Any]):
    item = serializers.IntegerField()
    row = serializers.IntegerField()
    external_id = serializers.CharField()
    classes = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="null: not scored yet."
    )


PREDICTION_PAGE = page_out("PredictionPage", PredictionData)


class PredictionPage(PREDICTION_PAGE):  # type: ignore[misc, valid-type]
    model = serializers.IntegerField(allow_null=True, help_text="Of the project's own; null where pushed.")
    round = serializers.IntegerField(allow_null=True)
    source = serializers.CharField(
        allow_null=True, help_text="Who pushed them; null for the project's model."
    )


class PredictionQuery(serializers.Serializer[Any]):
    split = serializers.ChoiceField(choices=Item.Split.choices, default=Item.Split.POOL)
    source = serializers.CharField(  # type: ignore[assignment]
        required=False, max_length=200, help_text="Predictions pushed under this name, of items of any split."
    )
    after = serializers.IntegerField(default=-1, min_value=-1, max_value=2**31 - 1)
    limit = serializers.IntegerField(default=LARGEST_PAGE, min_value=1, max_value=LARGEST_PAGE)


class PredictionsIn(serializers.Serializer[Any]):
    source = serializers.CharField(max_length=200, help_text="Name of the model.")  # type: ignore[assignment]
    predictions = serializers.ListField(
        child=serializers.DictField(),
        min_length=1,
        max_length=pushed.MOST,
        help_text="Each with `item` (id) or `external_id`, and `classes`: {class key: probability}.",
    )


class RowProblem(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Place in the request's list, from 0.")
    reason = serializers.CharField()


class PushedOut(serializers.Serializer[Any]):
    stored = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = RowProblem(many=True)  # type: ignore[assignment]


class SourceOut(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()
    latest = serializers.DateTimeField()


class SourcesOut(serializers.Serializer[Any]):
    results = SourceOut(many=True)


class HealthOut(serializers.Serializer[Any]):
    """The facts depend on how far the project is; these are always there."""

    level = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    detail = serializers.CharField()
    title = serializers.CharField()
    served_round = serializers.IntegerField(allow_null=True)
    model = serializers.IntegerField(allow_null=True)
    strategy = serializers.CharField(allow_null=True)
    open_entries = serializers.IntegerField()


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
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="The package it comes from; empty: one of the application's own."
    )


class PresetData(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    advice = serializers.CharField()
    params = serializers.DictField()
    start = serializers.ListField(child=serializers.DictField(), help_text="Compositions, best first.")
    then = serializers.ListField(child=serializers.DictField(), help_text="Compositions, best first.")
    labels_per_class = serializers.IntegerField(help_text="Until so many labels it goes on as it starts.")


class PresetsOut(serializers.Serializer[Any]):
    results = PresetData(many=True)
    outlook = serializers.CharField(help_text="In words: what these settings mean for this project.")
    composition_options = serializers.DictField(
        help_text="JSON-schema properties of `composition.options` in the settings."
    )


class EncoderData(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    advice = serializers.CharField()
    params = serializers.DictField()
    needs_fit = serializers.CharField()
    reference = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()


@extend_schema(methods=["GET"], operation_id="learning_get", responses=SettingsData)
@extend_schema(
    methods=["PATCH"],
    operation_id="learning_update",
    request=SettingsData(partial=True),
    responses=SettingsData,
    examples=[OpenApiExample("Train after fifty", {"retrain_labels": 50}, request_only=True)],
)
@api_view(["GET", "PATCH"])
@needs(GET=READ, PATCH=MANAGE, tagged=True)
def learning(request: Request, project_id: int) -> Response:
    """Encoder, preset or strategies, triggers. Parameters are checked against the specifications of what is chosen.
    Naming a strategy, its composition or its start turns the preset off, unless the same request names one."""
    user = current_user(request)
    if request.method == "GET":
        project, _ = can_inspect(user, project_id)
        return tagged(request, dict(SettingsData(services.settings_of(project)).data))
    project, _ = can_manage(user, project_id)
    with edit_lock(project_id):
        settings = services.settings_of(project)
        check_match(request, dict(SettingsData(settings).data))
        checked = SettingsData(settings, data=request.data, partial=True)
        checked.is_valid(raise_exception=True)
        if unknown := set(request.data) - set(SettingsData.Meta.fields):
            raise Invalid(f"There is no setting '{sorted(unknown)[0]}'.", code="unknown_setting")
        values = dict(checked.validated_data)
        for choice, params in (
            ("encoder", "encoder_params"), ("preset", "preset_params"), ("strategy", "strategy_params"),
            ("cold_strategy", "cold_params"),
        ):  # fmt: skip
            # Another choice does not know the parameters of the one before.
            if values.get(choice, getattr(settings, choice)) != getattr(settings, choice):
                values.setdefault(params, {})
        settings = services.update_settings(settings=settings, by=user, values=values)
    return tagged(request, dict(SettingsData(settings).data))


@extend_schema(
    methods=["GET"],
    operation_id="rounds_list",
    parameters=[RoundQuery],
    responses=page_out("RoundsPage", RoundData),
)
@extend_schema(methods=["POST"], operation_id="rounds_start", request=None, responses={202: RoundData})
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def rounds(request: Request, project_id: int) -> Response:
    """The passes of the loop, newest first; POST begins one now."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        return Response(RoundData(services.start_round(project=project, by=user)).data, status=202)
    project, _ = can_inspect(user, project_id)
    values = queried(RoundQuery, request)
    found = Round.objects.filter(project=project).select_related("model")
    if "state" in values:
        found = found.filter(state=values["state"])
    return listed(request, found, values, lambda rows: list(RoundData(rows, many=True).data), key="number")


@extend_schema(operation_id="rounds_get", responses=RoundData)
@api_view(["GET"])
@needs(GET=READ, tagged=True)
def round_detail(request: Request, project_id: int, number: int) -> Response:
    """One round: what it began with, how far it is, what came of it."""
    can_inspect(current_user(request), project_id)
    return tagged(request, dict(RoundData(services.round_of(project_id, number)).data))


@extend_schema(operation_id="rounds_cancel", request=None, responses={202: RoundData})
@api_view(["POST"])
@needs(POST=MANAGE)
def cancel_round(request: Request, project_id: int, number: int) -> Response:
    """Ask a round to stop; the queue stays as it is. 409 when it has ended."""
    can_manage(current_user(request), project_id)
    services.cancel_round(round_=services.round_of(project_id, number))
    return Response(RoundData(services.round_of(project_id, number)).data, status=202)


@extend_schema(
    operation_id="models_list", parameters=[PageQuery], responses=page_out("ModelsPage", ModelData)
)
@api_view(["GET"])
@needs(GET=READ)
def models(request: Request, project_id: int) -> Response:
    """Trained models with digests and measures, newest first."""
    project, _ = can_inspect(current_user(request), project_id)
    return listed(
        request,
        ModelVersion.objects.filter(project=project).select_related("schema"),
        queried(PageQuery, request),
        lambda rows: list(ModelData(rows, many=True).data),
        key="number",
    )


@extend_schema(operation_id="models_get", responses=ModelData)
@api_view(["GET"])
@needs(GET=READ, tagged=True)
def model_detail(request: Request, project_id: int, number: int) -> Response:
    """One model: what it was made from and how good it is."""
    can_inspect(current_user(request), project_id)
    return tagged(request, dict(ModelData(services.model_of(project_id, number)).data))


@extend_schema(operation_id="models_use", request=None, responses={202: RoundData})
@api_view(["POST"])
@needs(POST=MANAGE)
def use(request: Request, project_id: int, number: int) -> Response:
    """Go back to this model: in use from now on; a round scores and ranks with it."""
    user = current_user(request)
    can_manage(user, project_id)
    round_ = services.roll_back(version=services.model_of(project_id, number), by=user)
    return Response(RoundData(round_).data, status=202)


@extend_schema(operation_id="health", responses=HealthOut)
@api_view(["GET"])
@needs(GET=READ)
def health(request: Request, project_id: int) -> Response:
    """How good the ranking is that people are served, and what failed last."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response(selectors.health(project))


@extend_schema(
    methods=["GET"], operation_id="predictions_list", parameters=[PredictionQuery], responses=PredictionPage
)
@extend_schema(
    methods=["POST"],
    operation_id="predictions_push",
    request=PredictionsIn,
    responses={200: PushedOut},
    examples=[
        OpenApiExample(
            "Two items",
            {
                "source": "my-model-3",
                "predictions": [
                    {"external_id": "a.png", "classes": {"cat": 0.9, "dog": 0.1}},
                    {"item": 17, "classes": {"cat": 0.2, "dog": 0.8}},
                ],
            },
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=IMPORT)
@idempotent()
def predictions(request: Request, project_id: int) -> Response:
    """GET: class probabilities of the model in use, by row, or those pushed by one `source`. POST pushes one's own
    model's, up to 1,000 a call: never answers, nothing trains or is measured on them; a later one of the same source
    replaces the earlier. Rows with unknown items or classes are reported and left out."""
    if request.method == "POST":
        project, _ = can_manage(current_user(request), project_id)
        values = parsed(PredictionsIn, request)
        return Response(pushed.push(project, source=values["source"], rows=values["predictions"]))
    project, _ = can_inspect(current_user(request), project_id)
    query = queried(PredictionQuery, request)
    if "source" in query:
        page = pushed.page(project, source=query["source"], after=query["after"], size=query["limit"])
    else:
        page = selectors.predictions_page(
            project, split=query["split"], after=query["after"], size=query["limit"]
        )
    return page_response(request, page.pop("results"), page.pop("next_after"), **page)


@extend_schema(operation_id="predictions_sources", responses=SourcesOut)
@api_view(["GET"])
@needs(GET=READ)
def prediction_sources(request: Request, project_id: int) -> Response:
    """Who pushed predictions, and of how many items."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response({"results": pushed.sources(project)})


@extend_schema(operation_id="strategies_list", responses=StrategyData(many=True))
@api_view(["GET"])
@needs(GET=READ)
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
                "source": catalogue.source_of(spec.key),
            }
            for spec in catalogue.all_strategies(task)
        ]
    )  # fmt: skip


@extend_schema(operation_id="presets_list", responses=PresetsOut)
@api_view(["GET"])
@needs(GET=READ)
def presets(request: Request, project_id: int) -> Response:
    """Named ways to choose items, what is in each, and what a composition of one's own may say."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response(
        {
            "results": [catalogue.preset_json(preset) for preset in catalogue.all_presets()],
            "outlook": selectors.outlook(services.settings_of(project)),
            "composition_options": {name: dict(schema) for name, schema in OPTIONS.items()},
        }
    )


@extend_schema(operation_id="encoders_list", responses=EncoderData(many=True))
@api_view(["GET"])
@needs(GET=READ)
def encoders(request: Request, project_id: int) -> Response:
    """Encoders for this project's kind of item, and whether each can be used here."""
    project, _ = can_inspect(current_user(request), project_id)
    return Response([catalogue.encoder_json(spec) for spec in catalogue.encoders(project.modality)])
