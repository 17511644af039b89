"""API tokens: `Authorization: Bearer ann_…`."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from annotator.accounts.models import ApiToken, User, token_digest

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
USED_RESOLUTION = timedelta(minutes=1)  # last_used_at need not cost a write per request


class TokenAuthentication(BaseAuthentication):
    """One indexed query per request. A read token may only read."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, plain = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = (
            ApiToken.objects.usable()
            .select_related("user")
            .filter(digest=token_digest(plain.strip()))
            .first()
        )
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired or its owner was deactivated.")
        if token.scope == ApiToken.Scope.READ and request.method not in SAFE_METHODS:
            raise PermissionDenied("This token may only read.")
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > USED_RESOLUTION:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def current_user(request: Request) -> User:
    """The signed-in person; the default permission has refused everybody else."""
    return cast("User", request.user)
