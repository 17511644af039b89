"""Webhooks over the API; managers only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import MANAGE, READ, needs
from annotator.hooks import services
from annotator.hooks.models import Delivery, Kind, Webhook
from annotator.projects.access import can_manage

# What the log writes, not the people.
COUNTED = ("failures", "disabled_reason")


class WebhookOut(serializers.ModelSerializer[Webhook]):
    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            "id", "url", "events", "active", "failures", "disabled_reason", "previous_until", "created_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class NewWebhookOut(WebhookOut):
    secret = serializers.CharField(read_only=True, help_text="Shown this once; it signs what is sent.")

    class Meta(WebhookOut.Meta):
        fields = (*WebhookOut.Meta.fields, "secret")
        read_only_fields = fields


class WebhookIn(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=2000)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Kind.choices), min_length=1, max_length=len(Kind.values)
    )


class WebhookChangeIn(WebhookIn):
    active = serializers.BooleanField()


class DeliveryOut(serializers.ModelSerializer[Delivery]):
    payload = serializers.DictField()

    class Meta:
        model = Delivery
        fields = (
            "id", "event", "kind", "payload", "state", "attempts", "next_try_at", "status", "response_start",
            "error", "created_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields


class DeliveryQuery(PageQuery):
    state = serializers.ChoiceField(choices=Delivery.State.choices, required=False)


@extend_schema(
    methods=["GET"],
    operation_id="webhooks_list",
    parameters=[PageQuery],
    responses=page_out("WebhooksPage", WebhookOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="webhooks_create",
    request=WebhookIn,
    responses={201: NewWebhookOut},
    examples=[
        OpenApiExample(
            "Rounds and jobs",
            {"url": "https://example.org/hook", "events": ["round.published", "job.finished"]},
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent("secret")
def webhooks(request: Request, project_id: int) -> Response:
    """GET lists who is told of events. POST adds an address and shows the secret that signs, this once."""
    project, _ = can_manage(request.user, project_id)
    if request.method == "POST":
        made, secret = services.create_webhook(
            project=project, by=current_user(request), **parsed(WebhookIn, request)
        )
        return Response({**WebhookOut(made).data, "secret": secret}, status=201)
    return listed(
        request,
        project.webhooks.all(),
        queried(PageQuery, request),
        lambda rows: list(WebhookOut(rows, many=True).data),
    )


@extend_schema(methods=["GET"], operation_id="webhooks_get", responses=WebhookOut)
@extend_schema(
    methods=["PATCH"],
    operation_id="webhooks_update",
    request=WebhookChangeIn(partial=True),
    responses=WebhookOut,
)
@extend_schema(methods=["DELETE"], operation_id="webhooks_delete", responses={204: None})
@api_view(["GET", "PATCH", "DELETE"])
@needs(GET=READ, PATCH=MANAGE, DELETE=MANAGE, tagged=True)
def webhook(request: Request, project_id: int, webhook_id: int) -> Response:
    """One webhook. `active: true` switches one on again that was switched off."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    if request.method != "GET":
        with edit_lock(project_id):
            found = services.webhook_of(project_id, webhook_id)
            check_match(request, dict(WebhookOut(found).data), rest=COUNTED)
            if request.method == "DELETE":
                services.delete_webhook(webhook=found)
                return Response(status=204)
            changes = WebhookChangeIn(data=request.data, partial=True)
            changes.is_valid(raise_exception=True)
            services.update_webhook(webhook=found, **changes.validated_data)
    return tagged(request, dict(WebhookOut(found).data), rest=COUNTED)


@extend_schema(operation_id="webhooks_rotate_secret", request=None, responses={200: NewWebhookOut})
@api_view(["POST"])
@needs(POST=MANAGE)
@idempotent("secret")
def rotate(request: Request, project_id: int, webhook_id: int) -> Response:
    """A new secret. For 24 hours deliveries are signed with both."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    secret = services.rotate_secret(webhook=found)
    return Response({**WebhookOut(found).data, "secret": secret})


@extend_schema(operation_id="webhooks_test", request=None, responses={202: DeliveryOut})
@api_view(["POST"])
@needs(POST=MANAGE)
@idempotent()
def test(request: Request, project_id: int, webhook_id: int) -> Response:
    """Send an event 'ping', once, also to a webhook that is switched off."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    made = services.send_test(webhook=found, by=current_user(request))
    return Response(DeliveryOut(made).data, status=202)


@extend_schema(
    operation_id="deliveries_list",
    parameters=[DeliveryQuery],
    responses=page_out("DeliveriesPage", DeliveryOut),
)
@api_view(["GET"])
@needs(GET=READ)
def deliveries(request: Request, project_id: int, webhook_id: int) -> Response:
    """The log, newest first; a month of it is kept."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    values, rows = queried(DeliveryQuery, request), found.deliveries.all()
    if "state" in values:
        rows = rows.filter(state=values["state"])
    return listed(request, rows, values, lambda page: list(DeliveryOut(page, many=True).data))


@extend_schema(operation_id="deliveries_get", responses=DeliveryOut)
@api_view(["GET"])
@needs(GET=READ)
def delivery(request: Request, project_id: int, webhook_id: int, delivery_id: int) -> Response:
    """One delivery: what was sent and what came back."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    return Response(DeliveryOut(services.delivery_of(found, delivery_id)).data)


@extend_schema(operation_id="deliveries_send_again", request=None, responses={202: DeliveryOut})
@api_view(["POST"])
@needs(POST=MANAGE)
def again(request: Request, project_id: int, webhook_id: int, delivery_id: int) -> Response:
    """The same event once more, with its id; 409 while it waits for an attempt."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    sent = services.send_again(delivery=services.delivery_of(found, delivery_id))
    return Response(DeliveryOut(sent).data, status=202)
