"""The annotate screen's API, which programs use too: next, answers, skips, drafts, claims.

Written for speed: a claim or an answer is a handful of short statements, no project or item objects are loaded.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.accounts.models import User
from annotator.common.api import KeyField, parsed
from annotator.common.permissions import ANNOTATE, READ, needs
from annotator.labeling import queue, selectors, services
from annotator.labeling.models import Annotation
from annotator.learning.evidence_enough import nothing_asked
from annotator.learning.services import refill_if_low, start_round_if_due
from annotator.learning.suggest import suggest_for
from annotator.projects.access import ANNOTATORS, INSPECTORS, require_role
from annotator.projects.models import Role
from annotator.quality import serving
from annotator.workspace import answers_api
from annotator.workspace.why import blind, why

MAX_HELD = 8  # the item on screen, those ahead of it, and answers still on their way


class NextIn(serializers.Serializer[Any]):
    holder = serializers.UUIDField(help_text="Made by the client, one per browser tab or program.")
    count = serializers.IntegerField(min_value=1, max_value=MAX_HELD, default=1)
    fresh = serializers.BooleanField(
        default=False,
        help_text="Give new tokens to what is held: what an earlier page releases late is void.",
    )


class LeaseOut(serializers.Serializer[Any]):
    token = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    item = serializers.DictField()
    why = serializers.DictField()
    suggestion = serializers.DictField(allow_null=True)
    draft = serializers.ListField(allow_null=True)


class NextOut(serializers.Serializer[Any]):
    leases = LeaseOut(many=True)
    nothing = serializers.DictField(allow_null=True, help_text="Why there is no item, when there is none.")


class AnswerIn(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Made by the client; sending the same id again changes nothing.")
    item = KeyField()
    schema_version = serializers.IntegerField()
    regions = serializers.ListField(child=serializers.DictField())
    seconds = serializers.FloatField(required=False, allow_null=True, default=None)


class AnswerOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item = serializers.IntegerField()
    revision = serializers.IntegerField()
    state = serializers.CharField()
    regions = serializers.ListField()


class WithdrawIn(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Of the new revision 'withdrawn', made by the client.")
    item = KeyField()
    holder = serializers.UUIDField()


class SkipIn(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item = KeyField()
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class SkipOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item = serializers.IntegerField()
    policy = serializers.CharField()


class HolderIn(serializers.Serializer[Any]):
    holder = serializers.UUIDField()


class DraftIn(serializers.Serializer[Any]):
    regions = serializers.ListField(child=serializers.DictField())


class DraftOut(serializers.Serializer[Any]):
    item = serializers.IntegerField()
    regions = serializers.ListField(child=serializers.DictField())
    updated_at = serializers.DateTimeField()


class RecentOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    item_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["annotation", "skip"])
    classes = serializers.ListField(child=serializers.CharField())
    at = serializers.DateTimeField()


class TokensIn(serializers.Serializer[Any]):
    tokens = serializers.ListField(child=serializers.UUIDField(), max_length=100)


class TokensOut(serializers.Serializer[Any]):
    tokens = serializers.ListField(child=serializers.UUIDField())


def _annotator(request: Request, project_id: int) -> User:
    return _annotator_and_role(request, project_id)[0]


def _annotator_and_role(request: Request, project_id: int) -> tuple[User, Role]:
    user = current_user(request)
    return user, require_role(user, project_id, ANNOTATORS)


@extend_schema(operation_id="next", request=NextIn, responses=NextOut)
@api_view(["POST"])
@needs(POST=ANNOTATE, hot=True)
def next_items(request: Request, project_id: int) -> Response:
    """What this tab holds, topped up to `count` items from the head of the queue."""
    (user, role), values = _annotator_and_role(request, project_id), parsed(NextIn, request)
    wanted = {"project_id": project_id, "user_id": user.pk, **values}
    suggest = partial(suggest_for, project_id)
    enough = nothing_asked(project_id)
    claimed = serving.claim(**wanted | ({"count": 0} if enough else {}), suggest=suggest)
    if len(claimed) < values["count"]:
        if not enough and refill_if_low(project_id, starved=not claimed):
            claimed = queue.claim(**wanted)
        wanted.pop("fresh")
        claimed = serving.top_up(claimed, **wanted, suggest=suggest)
    nothing = None
    if not claimed:
        nothing = enough or vars(selectors.why_nothing(project_id=project_id, user_id=user.pk))
    named = role in INSPECTORS
    guarded = serving.rules_of(project_id).on
    leases = [_lease_json(project_id, lease, named=named, guarded=guarded) for lease in claimed]
    return Response({"leases": leases, "nothing": nothing})


@extend_schema(
    methods=["GET"],
    operation_id="annotations_list",
    parameters=[answers_api.AnnotationQuery],
    responses=answers_api.AnnotationsPage,
)
@extend_schema(
    methods=["POST"],
    operation_id="annotations_submit",
    request=AnswerIn,
    responses={201: AnswerOut, 200: AnswerOut},
    examples=[
        OpenApiExample(
            "A cat",
            {
                "id": "6f1c2f0e-5b1a-4a57-9d0c-0f6d4b9a3c11",
                "item": 17,
                "schema_version": 1,
                "regions": [{"kind": "choice", "classes": ["cat"]}],
                "seconds": 2.5,
            },
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=ANNOTATE, hot=("POST",))
def answers(request: Request, project_id: int) -> Response:
    """POST answers an item in this person's hands, or answers it anew. GET lists everybody's, for those who inspect."""
    return (
        _submit(request, project_id) if request.method == "POST" else answers_api.answers(request, project_id)
    )


def _submit(request: Request, project_id: int) -> Response:
    user, values = _annotator(request, project_id), parsed(AnswerIn, request)
    annotation, created = services.submit_annotation(
        project_id=project_id,
        user_id=user.pk,
        annotation_id=values["id"],
        item_id=values["item"],
        schema_version=values["schema_version"],
        regions=values["regions"],
        seconds=values["seconds"],
    )
    if created:
        start_round_if_due(project_id)
    return Response(_answer_json(annotation), status=201 if created else 200)


@extend_schema(operation_id="annotations_withdraw", request=WithdrawIn, responses=AnswerOut)
@api_view(["POST"])
@needs(POST=ANNOTATE, hot=True)
def withdraw(request: Request, project_id: int) -> Response:
    """Take an answer back; its item returns to this person."""
    user, values = _annotator(request, project_id), parsed(WithdrawIn, request)
    annotation = services.withdraw_annotation(
        project_id=project_id,
        user_id=user.pk,
        item_id=values["item"],
        annotation_id=values["id"],
        holder=values["holder"],
    )
    return Response(_answer_json(annotation))


@extend_schema(
    methods=["GET"],
    operation_id="skips_list",
    parameters=[answers_api.SkipQuery],
    responses=answers_api.SkipsPage,
)
@extend_schema(methods=["POST"], operation_id="skips_add", request=SkipIn, responses={201: SkipOut})
@api_view(["GET", "POST"])
@needs(GET=READ, POST=ANNOTATE, hot=("POST",))
def skips(request: Request, project_id: int) -> Response:
    """POST passes an item over. GET lists everybody's skips, for those who inspect."""
    return _skip(request, project_id) if request.method == "POST" else answers_api.skips(request, project_id)


def _skip(request: Request, project_id: int) -> Response:
    user, values = _annotator(request, project_id), parsed(SkipIn, request)
    made = services.skip_item(
        project_id=project_id,
        user_id=user.pk,
        skip_id=values["id"],
        item_id=values["item"],
        reason=values["reason"],
    )
    return Response({"id": made.pk, "item": made.item_id, "policy": made.policy}, status=201)


@extend_schema(operation_id="skips_withdraw", request=HolderIn, responses=SkipOut)
@api_view(["POST"])
@needs(POST=ANNOTATE, hot=True)
def withdraw_skip(request: Request, project_id: int, skip_id: Any) -> Response:
    """Take a skip back; its item returns to this person."""
    user, values = _annotator(request, project_id), parsed(HolderIn, request)
    made = services.withdraw_skip(
        project_id=project_id, user_id=user.pk, skip_id=skip_id, holder=values["holder"]
    )
    return Response({"id": made.pk, "item": made.item_id, "policy": made.policy})


@extend_schema(methods=["GET"], operation_id="drafts_get", responses=DraftOut)
@extend_schema(methods=["PUT"], operation_id="drafts_put", request=DraftIn, responses={204: None})
@extend_schema(methods=["DELETE"], operation_id="drafts_delete", responses={204: None})
@api_view(["GET", "PUT", "DELETE"])
@needs(GET=(READ, ANNOTATE), PUT=ANNOTATE, DELETE=ANNOTATE, hot=True)
def draft(request: Request, project_id: int, item_id: int) -> Response:
    """This person's unsent work on an item: kept while the item is in their hands."""
    user = _annotator(request, project_id)
    where = {"project_id": project_id, "user_id": user.pk, "item_id": item_id}
    if request.method == "PUT":
        services.save_draft(**where, regions=parsed(DraftIn, request)["regions"])
        return Response(status=204)
    if request.method == "DELETE":
        services.delete_draft(**where)
        return Response(status=204)
    found = selectors.draft_of(**where)
    return Response({"item": item_id, "regions": found.regions, "updated_at": found.updated_at})


@extend_schema(operation_id="leases_renew", request=TokensIn, responses=TokensOut)
@api_view(["POST"])
@needs(POST=ANNOTATE, hot=True)
def renew(request: Request, project_id: int) -> Response:
    """A sign of life for claims; answers with those that live."""
    user, values = _annotator(request, project_id), parsed(TokensIn, request)
    tokens = services.renew_leases(project_id=project_id, user_id=user.pk, tokens=values["tokens"])
    return Response({"tokens": tokens})


@extend_schema(operation_id="leases_release", request=TokensIn, responses={204: None})
@api_view(["POST"])
@needs(POST=ANNOTATE, hot=True)
def release(request: Request, project_id: int) -> Response:
    """Give claims back."""
    user, values = _annotator(request, project_id), parsed(TokensIn, request)
    services.release_leases(project_id=project_id, user_id=user.pk, tokens=values["tokens"])
    return Response(status=204)


@extend_schema(operation_id="annotations_recent", responses=RecentOut(many=True))
@api_view(["GET"])
@needs(GET=(READ, ANNOTATE), hot=True)
def recent(request: Request, project_id: int) -> Response:
    """This person's latest answers and skips, newest first."""
    user = _annotator(request, project_id)
    return Response([vars(row) for row in selectors.recent_work(project_id=project_id, user_id=user.pk)])


def _lease_json(project_id: int, lease: queue.Claimed, *, named: bool, guarded: bool) -> dict[str, Any]:
    # Names and other columns of the import stay with those who may see labels: they may hold the answer ('cat/1.png').
    item: dict[str, Any] = {
        "id": lease.item_id,
        "row": lease.row,
        "external_id": lease.external_id if named else "",
    }
    if lease.asset_id:
        item["url"] = reverse("items:asset", args=[project_id, lease.asset_id])
    else:
        item["text"] = lease.text
    # Without a suggestion the reason must not tell what the model thinks either.
    served = serving.shown(lease.served, guarded=guarded)
    served = served if lease.suggestion else blind(served)
    return {
        "token": lease.token,
        "expires_at": lease.expires_at,
        "item": item,
        "why": why(served),
        "served": served,
        "suggestion": lease.suggestion,
        "draft": lease.draft,
    }


def _answer_json(annotation: Annotation | services.Answer) -> dict[str, Any]:
    return {
        "id": annotation.id,
        "item": annotation.item_id,
        "revision": annotation.revision,
        "state": annotation.state,
        "regions": annotation.regions,
    }
