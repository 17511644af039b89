"""The API about oneself: who am I, and my tokens."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts import services
from annotator.accounts.authentication import current_user
from annotator.accounts.models import ApiToken, User
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.clients import client_address, is_shared
from annotator.common.errors import Forbidden
from annotator.common.etag import check_match, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import ANNOTATE, MANAGE, PUBLIC, READ, needs
from annotator.common.scopes import CHOICES, SCOPES


class MeOut(serializers.ModelSerializer[User]):
    email = serializers.CharField(help_text="Empty when there is none.")

    class Meta:
        model = User
        fields = (
            "id",
            "username",
            "first_name",
            "last_name",
            "email",
            "is_superuser",
            "must_change_password",
        )
        read_only_fields = fields


class TokenOut(serializers.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at")
        read_only_fields: tuple[str, ...] = fields


class NewTokenOut(TokenOut):
    token = serializers.CharField(
        read_only=True, help_text="Shown this once. Send it as `Authorization: Bearer …`."
    )

    class Meta(TokenOut.Meta):
        fields = (*TokenOut.Meta.fields, "token")
        read_only_fields = fields


class MeIn(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")


class NewTokenIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=CHOICES),
        min_length=1,
        max_length=len(SCOPES),
        default=list(SCOPES),
    )
    days = serializers.IntegerField(
        min_value=1, max_value=3650, default=90, allow_null=True, help_text="null: it never expires."
    )
    username = serializers.CharField(max_length=150, required=False, help_text="Not needed in a session.")
    password = serializers.CharField(max_length=4096, required=False, write_only=True, trim_whitespace=False)


@extend_schema(methods=["GET"], operation_id="me", responses=MeOut)
@extend_schema(methods=["PATCH"], operation_id="me_update", request=MeIn(partial=True), responses=MeOut)
@api_view(["GET", "PATCH"])
@needs(GET=(READ, ANNOTATE), PATCH=MANAGE, tagged=True)
def me(request: Request) -> Response:
    """Whose token or session this is. PATCH changes names and address; the password is changed in a browser only."""
    user = current_user(request)
    if request.method == "PATCH":
        check_match(request, dict(MeOut(user).data))
        changed = MeIn(User.objects.get(pk=user.pk), data=request.data, partial=True)
        changed.is_valid(raise_exception=True)
        user = changed.save()
    return tagged(request, dict(MeOut(user).data))


@extend_schema(
    methods=["GET"],
    operation_id="tokens_list",
    parameters=[PageQuery],
    responses=page_out("TokensPage", TokenOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="tokens_create",
    request=NewTokenIn,
    responses={201: NewTokenOut},
    examples=[
        OpenApiExample(
            "A labelling program",
            {
                "name": "night shift",
                "scopes": ["read", "annotate"],
                "days": 30,
                "username": "ada",
                "password": "…",
            },
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=PUBLIC)
@idempotent("token")
def tokens(request: Request) -> Response:
    """GET lists one's tokens. POST makes one, in a session or with user name and password."""
    if request.method == "POST":
        return _create(request)
    if not request.user.is_authenticated:
        raise NotAuthenticated
    mine = ApiToken.objects.filter(user=current_user(request))
    return listed(
        request, mine, queried(PageQuery, request), lambda rows: list(TokenOut(rows, many=True).data)
    )


@extend_schema(operation_id="tokens_revoke", responses={204: None})
@api_view(["DELETE"])
@needs(DELETE=MANAGE)
def token(request: Request, token_id: int) -> Response:
    """Revokes one of one's own tokens; it stops working at once."""
    services.revoke_token(user=current_user(request), token_id=token_id)
    return Response(status=204)


def _create(request: Request) -> Response:
    values = parsed(NewTokenIn, request)
    username, password = values.pop("username", ""), values.pop("password", "")
    if username or password:
        user = services.check_password(
            request=request._request,
            username=username,
            password=password,
            address=client_address(request._request),
            shared=is_shared(request._request),
        )
    elif not request.user.is_authenticated:
        raise NotAuthenticated("Give user name and password.")
    elif request.auth is not None:
        # Else a token that is about to expire could live on for ever.
        raise Forbidden("A token cannot make tokens.", hint="Give user name and password.")
    else:
        user = current_user(request)
    if user.must_change_password:
        raise Forbidden(
            "Choose a password of your own first.",
            code="password_change_required",
            hint="Sign in in a browser.",
        )
    made, plain = services.create_token(user=user, **values)
    return Response({**TokenOut(made).data, "token": plain}, status=201)
