"""Items for programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import parsed
from annotator.common.errors import NotFound
from annotator.common.pagination import keyset_page
from annotator.items.models import Item
from annotator.items.views import asset_response, get_asset
from annotator.projects.access import INSPECTORS, MANAGERS, require_role
from annotator.workspace import items_services
from annotator.workspace.items_selectors import imported_classes

PAGE = 200


class ItemOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    row = serializers.IntegerField(help_text="Dense, never reused index in the project.")
    external_id = serializers.CharField()
    split = serializers.ChoiceField(choices=Item.Split.choices)
    text = serializers.CharField(allow_null=True)
    asset = serializers.DictField(allow_null=True, help_text="url, media_type, width, height, size, digest")
    imported_labels = serializers.ListField(child=serializers.CharField())
    meta = serializers.DictField()
    created_at = serializers.DateTimeField()
    archived_at = serializers.DateTimeField(allow_null=True)


class ItemPageOut(serializers.Serializer[Any]):
    results = ItemOut(many=True)
    next_after = serializers.IntegerField(allow_null=True, help_text="Pass as `after` for the next page.")


class ItemQueryIn(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0)
    external_id = serializers.CharField(required=False, max_length=500)
    split = serializers.ChoiceField(choices=Item.Split.choices, required=False)
    archived = serializers.BooleanField(required=False, allow_null=True, default=None)


class IdsIn(serializers.Serializer[Any]):
    items = serializers.ListField(
        child=serializers.IntegerField(), min_length=1, max_length=items_services.MAX_AT_ONCE
    )


class CountOut(serializers.Serializer[Any]):
    count = serializers.IntegerField()


@extend_schema(
    operation_id="items_list",
    parameters=[
        OpenApiParameter("after", int),
        OpenApiParameter("external_id", str, description="Exactly this one."),
        OpenApiParameter("split", str, enum=Item.Split.values),
        OpenApiParameter(
            "archived", bool, description="Only archived ones, or only others. Both when left out."
        ),
    ],
    responses=ItemPageOut,
)
@api_view(["GET"])
def item_list(request: Request, project_id: int) -> Response:
    """Items in the order of their import."""
    require_role(current_user(request), project_id, INSPECTORS)
    query = ItemQueryIn(data=request.query_params)
    query.is_valid(raise_exception=True)
    values = query.validated_data
    items = Item.objects.filter(project_id=project_id).select_related("asset", "imported_label")
    if "external_id" in values:
        items = items.filter(external_id=values["external_id"])
    if "split" in values:
        items = items.filter(split=values["split"])
    if values["archived"] is not None:
        items = items.filter(archived_at__isnull=not values["archived"])
    page = keyset_page(items, key="row", after=values.get("after"), size=PAGE)
    return Response({"results": [_item_json(item) for item in page.rows], "next_after": page.next_after})


@extend_schema(methods=["GET"], operation_id="items_retrieve", responses=ItemOut)
@extend_schema(methods=["DELETE"], operation_id="items_destroy", responses={204: None})
@api_view(["GET", "DELETE"])
def item_detail(request: Request, project_id: int, item_id: int) -> Response:
    """One item. DELETE removes it for good, with all answers to it."""
    roles = INSPECTORS if request.method == "GET" else MANAGERS
    require_role(current_user(request), project_id, roles)
    found = Item.objects.select_related("asset", "imported_label").filter(project_id=project_id, pk=item_id)
    item = found.first()
    if item is None:
        raise NotFound("There is no such item in this project.")
    if request.method == "GET":
        return Response(_item_json(item))
    items_services.delete_items(project_id=project_id, item_ids=[item.pk])
    return Response(status=204)


@extend_schema(operation_id="items_archive", request=IdsIn, responses=CountOut)
@api_view(["POST"])
def archive(request: Request, project_id: int) -> Response:
    """Take items out of work; their answers stay."""
    require_role(current_user(request), project_id, MANAGERS)
    ids = parsed(IdsIn, request)["items"]
    return Response({"count": items_services.archive_items(project_id=project_id, item_ids=ids)})


@extend_schema(operation_id="items_restore", request=IdsIn, responses=CountOut)
@api_view(["POST"])
def restore(request: Request, project_id: int) -> Response:
    """Bring archived items back."""
    require_role(current_user(request), project_id, MANAGERS)
    ids = parsed(IdsIn, request)["items"]
    return Response({"count": items_services.restore_items(project_id=project_id, item_ids=ids)})


@extend_schema(
    operation_id="assets_retrieve",
    parameters=[
        OpenApiParameter("variant", str, enum=["original", "display", "thumbnail"], default="original")
    ],
    responses={(200, "image/*"): OpenApiTypes.BINARY},
)
@api_view(["GET"])
def asset(request: Request, project_id: int, asset_id: int) -> HttpResponseBase:
    """The bytes of an image, as imported or as browsers can show them."""
    require_role(current_user(request), project_id)
    variant = request.query_params.get("variant", "original")
    if variant not in ("original", "display", "thumbnail"):
        raise serializers.ValidationError({"variant": ["Choose original, display or thumbnail."]})
    return asset_response(request._request, get_asset(project_id, asset_id), variant=variant)


def _item_json(item: Item) -> dict[str, Any]:
    found = item.asset
    asset_json = found and {
        "url": reverse("api:asset", args=[item.project_id, found.pk]),
        "media_type": found.media_type,
        "width": found.width,
        "height": found.height,
        "size": found.size,
        "digest": found.digest,
    }
    names = ("row", "external_id", "split", "text", "meta", "created_at", "archived_at")
    plain = {name: getattr(item, name) for name in names}
    return {"id": item.pk, "asset": asset_json, "imported_labels": imported_classes(item), **plain}
