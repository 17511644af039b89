"""Streams over the API: offer one item and be told whether to keep it; settings, state, decisions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from acquisition.stream import MANAGERS
from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.errors import Invalid
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import IMPORT, MANAGE, READ, needs
from annotator.learning import offers
from annotator.learning.models import ItemStream, Offer
from annotator.projects.access import can_inspect, can_manage

REST = ("status", "managers")  # nobody edits these


class StreamData(serializers.ModelSerializer[ItemStream]):
    params = serializers.DictField(required=False)

    class Meta:
        model = ItemStream
        fields = ["enabled", "manager", "params", "budget"]


class StreamOut(StreamData):
    status = serializers.SerializerMethodField()
    managers = serializers.SerializerMethodField()

    class Meta(StreamData.Meta):
        fields = [*StreamData.Meta.fields, "status", "managers"]

    def get_status(self, stream: ItemStream) -> dict[str, Any]:
        return offers.status(stream)

    def get_managers(self, _stream: ItemStream) -> list[dict[str, Any]]:
        return [
            {
                "key": manager.key,
                "title": manager.title,
                "advice": manager.advice,
                "params": {name: dict(schema) for name, schema in manager.params.items()},
            }
            for manager in MANAGERS.values()
        ]


class OfferIn(serializers.Serializer[Any]):
    external_id = serializers.CharField(required=False, max_length=500, default="")
    text = serializers.CharField(required=False, allow_null=True, default=None, trim_whitespace=False)
    meta = serializers.DictField(required=False, default=dict)
    classes = serializers.DictField(
        child=serializers.FloatField(min_value=0, max_value=1),
        required=False,
        default=dict,
        help_text="What your own model says: {class key: probability}. Left out: the project's model is asked.",
    )


class OfferData(serializers.ModelSerializer[Offer]):
    keep = serializers.SerializerMethodField(help_text="true: keep, false: pass over, null: not decided yet.")

    class Meta:
        model = Offer
        fields = [
            "id", "external_id", "state", "keep", "confidence", "predicted", "threshold", "at_random", "why", "wrong",
            "created_at", "decided_at",
        ]  # fmt: skip

    def get_keep(self, offer: Offer) -> bool | None:
        return None if offer.state == Offer.State.PENDING else offer.state == Offer.State.KEPT


class OfferQuery(PageQuery):
    state = serializers.ChoiceField(choices=Offer.State.choices, required=False)


@extend_schema(methods=["GET"], operation_id="stream_get", responses=StreamOut)
@extend_schema(
    methods=["PATCH"],
    operation_id="stream_update",
    request=StreamData(partial=True),
    responses=StreamOut,
    examples=[OpenApiExample("Ask about one in ten", {"enabled": True, "budget": 0.1}, request_only=True)],
)
@api_view(["GET", "PATCH"])
@needs(GET=READ, PATCH=MANAGE, tagged=True)
def stream(request: Request, project_id: int) -> Response:
    """Who decides about items that arrive one by one, the budget, and where the stream stands."""
    user = current_user(request)
    if request.method == "GET":
        project, _ = can_inspect(user, project_id)
        return tagged(request, dict(StreamOut(offers.stream_of(project)).data), rest=REST)
    project, _ = can_manage(user, project_id)
    with edit_lock(project_id):
        found = offers.stream_of(project)
        check_match(request, dict(StreamOut(found).data), rest=REST)
        checked = StreamData(found, data=request.data, partial=True)
        checked.is_valid(raise_exception=True)
        if unknown := set(request.data) - set(StreamData.Meta.fields):
            raise Invalid(f"There is no setting '{sorted(unknown)[0]}'.", code="unknown_setting")
        found = offers.update_stream(stream=found, values=dict(checked.validated_data))
    return tagged(request, dict(StreamOut(found).data), rest=REST)


@extend_schema(operation_id="stream_reset", request=None, responses=StreamOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def reset(request: Request, project_id: int) -> Response:
    """Forget what was seen and spent, and any alarm; decisions of before stay on record."""
    project, _ = can_manage(current_user(request), project_id)
    return Response(StreamOut(offers.reset(stream=offers.stream_of(project))).data)


@extend_schema(
    methods=["GET"],
    operation_id="offers_list",
    parameters=[OfferQuery],
    responses=page_out("OffersPage", OfferData),
)
@extend_schema(
    methods=["POST"],
    operation_id="offers_make",
    request=OfferIn,
    responses={200: OfferData, 202: OfferData},
    examples=[
        OpenApiExample(
            "Scored by your own model",
            {"external_id": "m-17", "text": "Where is my parcel?", "classes": {"cat": 0.55, "dog": 0.45}},
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=IMPORT)
@idempotent()
def offers_of(request: Request, project_id: int) -> Response:
    """POST offers one item. With `classes` it is decided at once (200: `keep` is true or false); without, the project's
    model is asked by a worker (202: ask again at `offers/<id>/`). A kept text is an item of the project from then on;
    what is offered without a text you import yourself, under the same `external_id`. GET lists decisions, newest first."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        made = offers.offer(project=project, **parsed(OfferIn, request))
        return Response(OfferData(made).data, status=202 if made.state == Offer.State.PENDING else 200)
    project, _ = can_inspect(user, project_id)
    values = queried(OfferQuery, request)
    found = Offer.objects.filter(project=project)
    if "state" in values:
        found = found.filter(state=values["state"])
    return listed(request, found, values, lambda rows: list(OfferData(rows, many=True).data))


@extend_schema(operation_id="offers_get", responses=OfferData)
@api_view(["GET"])
@needs(GET=READ)
def offer_detail(request: Request, project_id: int, offer_id: int) -> Response:
    """What was decided about one offered item."""
    can_inspect(current_user(request), project_id)
    return Response(OfferData(offers.offer_of(project_id, offer_id)).data)
