"""Items for programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import KeyField, PageQuery, RowsJSONParser, listed, page_out, parsed, queried
from annotator.common.errors import Invalid, NotFound
from annotator.common.etag import check_match, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import ANNOTATE, IMPORT, MANAGE, READ, needs
from annotator.items.models import Item
from annotator.items.views import asset_response, get_asset
from annotator.projects.access import INSPECTORS, MANAGERS, can_inspect, can_manage, require_role
from annotator.projects.models import Project
from annotator.transfer.api import ItemsIn, ItemsOut, add_texts
from annotator.workspace import items_services
from annotator.workspace.items_selectors import LABELS, Filters, browse, imported_classes, split_seen


class ItemOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    row = serializers.IntegerField(help_text="Dense, never reused index in the project.")
    external_id = serializers.CharField()
    split = serializers.ChoiceField(choices=Item.Split.choices, help_text="Gold is told to managers only.")
    text = serializers.CharField(allow_null=True)
    asset = serializers.DictField(allow_null=True, help_text="url, media_type, width, height, size, digest")
    imported_labels = serializers.ListField(child=serializers.CharField())
    meta = serializers.DictField()
    created_at = serializers.DateTimeField()
    archived_at = serializers.DateTimeField(allow_null=True)


class ItemQuery(PageQuery):
    q = serializers.CharField(
        required=False, max_length=200, help_text="Words of the text, or the beginning of the external id."
    )
    external_id = serializers.CharField(required=False, max_length=500, help_text="Exactly this one.")
    split = serializers.ChoiceField(choices=Item.Split.choices, required=False)
    archived = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Only archived ones, or only others. Both when left out.",
    )
    labels = serializers.ChoiceField(
        choices=[(key, words) for key, words in LABELS.items() if key], required=False
    )


class IdsIn(serializers.Serializer[Any]):
    items = serializers.ListField(child=KeyField(), min_length=1, max_length=items_services.MAX_AT_ONCE)


class CountOut(serializers.Serializer[Any]):
    count = serializers.IntegerField()


@extend_schema(
    methods=["GET"],
    operation_id="items_list",
    parameters=[ItemQuery],
    responses=page_out("ItemsPage", ItemOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="items_add",
    request=ItemsIn,
    responses={200: ItemsOut},
    examples=[
        OpenApiExample(
            "Two texts",
            {"items": [{"text": "A fine film.", "external_id": "r1"}, {"text": "Dull.", "labels": ["bad"]}]},
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@parser_classes([RowsJSONParser])
@needs(GET=READ, POST=IMPORT)
@idempotent()
def items(request: Request, project_id: int) -> Response:
    """GET lists items in the order of their import. POST adds up to 1,000 texts at once; files go to `imports/`."""
    user = current_user(request)
    if request.method == "POST":
        project, _ = can_manage(user, project_id)
        if project.modality != Project.Modality.TEXT:
            raise Invalid("Images are imported as files.", code="wrong_format", hint="POST them to imports/.")
        return Response(
            add_texts(project, parsed(ItemsIn, request)["items"], source=f"API ({user.username})")
        )
    project, can = can_inspect(user, project_id)
    values = queried(ItemQuery, request)
    filters = Filters(
        words=values.get("q", ""), split=values.get("split", ""), labels=values.get("labels", "")
    )
    found = browse(project, filters, archived=values["archived"], gold=can.manage).defer(None)
    if "external_id" in values:
        found = found.filter(external_id=values["external_id"])
    return listed(
        request,
        found,
        values,
        lambda rows: [_item_json(item, gold=can.manage) for item in rows],
        key="row",
        descending=False,
    )


@extend_schema(methods=["GET"], operation_id="items_retrieve", responses=ItemOut)
@extend_schema(methods=["DELETE"], operation_id="items_destroy", responses={204: None})
@api_view(["GET", "DELETE"])
@needs(GET=READ, DELETE=MANAGE, tagged=True)
def item_detail(request: Request, project_id: int, item_id: int) -> Response:
    """One item. DELETE removes it for good, with all answers to it."""
    roles = INSPECTORS if request.method == "GET" else MANAGERS
    gold = require_role(current_user(request), project_id, roles) in MANAGERS
    found = Item.objects.select_related("asset", "imported_label").filter(project_id=project_id, pk=item_id)
    item = found.first()
    if item is None:
        raise NotFound("There is no such item in this project.")
    if request.method == "GET":
        return tagged(request, _item_json(item, gold=gold))
    check_match(request, _item_json(item, gold=gold))
    items_services.delete_items(project_id=project_id, item_ids=[item.pk])
    return Response(status=204)


@extend_schema(operation_id="items_archive", request=IdsIn, responses=CountOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def archive(request: Request, project_id: int) -> Response:
    """Take items out of work; their answers stay."""
    require_role(current_user(request), project_id, MANAGERS)
    ids = parsed(IdsIn, request)["items"]
    return Response({"count": items_services.archive_items(project_id=project_id, item_ids=ids)})


@extend_schema(operation_id="items_restore", request=IdsIn, responses=CountOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def restore(request: Request, project_id: int) -> Response:
    """Bring archived items back."""
    require_role(current_user(request), project_id, MANAGERS)
    ids = parsed(IdsIn, request)["items"]
    return Response({"count": items_services.restore_items(project_id=project_id, item_ids=ids)})


@extend_schema(operation_id="items_delete_many", request=IdsIn, responses=CountOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def delete(request: Request, project_id: int) -> Response:
    """Delete items for good, with all answers to them."""
    require_role(current_user(request), project_id, MANAGERS)
    ids = parsed(IdsIn, request)["items"]
    return Response({"count": items_services.delete_items(project_id=project_id, item_ids=ids)})


@extend_schema(
    operation_id="assets_retrieve",
    parameters=[
        OpenApiParameter("variant", str, enum=["original", "display", "thumbnail"], default="original")
    ],
    responses={(200, "image/*"): OpenApiTypes.BINARY},
)
@api_view(["GET"])
@needs(GET=(READ, ANNOTATE), hot=True)
def asset(request: Request, project_id: int, asset_id: int) -> HttpResponseBase:
    """The bytes of an image, as imported or as browsers can show them."""
    require_role(current_user(request), project_id)
    variant = request.query_params.get("variant", "original")
    if variant not in ("original", "display", "thumbnail"):
        raise serializers.ValidationError({"variant": ["Choose original, display or thumbnail."]})
    return asset_response(request._request, get_asset(project_id, asset_id), variant=variant)


def _item_json(item: Item, *, gold: bool) -> dict[str, Any]:
    found = item.asset
    asset_json = found and {
        "url": reverse("api:asset", args=[item.project_id, found.pk]),
        "media_type": found.media_type,
        "width": found.width,
        "height": found.height,
        "size": found.size,
        "digest": found.digest,
    }
    names = ("row", "external_id", "text", "meta", "created_at", "archived_at")
    plain = {name: getattr(item, name) for name in names} | {"split": split_seen(item.split, gold=gold)}
    return {"id": item.pk, "asset": asset_json, "imported_labels": imported_classes(item), **plain}
