"""API tokens: `Authorization: Bearer ann_…`."""

from __future__ import annotations

from typing import cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from annotator.accounts.models import ApiToken, User, token_digest
from annotator.common import sql
from annotator.common.scopes import Grant

# Every request of a program comes through here: plain SQL, a person with the columns that a view may need (the others
# are fetched when touched), and `last_used_at` written once a minute only.
WANTED = {"id", "username", "first_name", "last_name", "email", "is_superuser", "is_staff", "is_active"}
WANTED |= {"must_change_password"}
# In the model's own order: from_db gives values to fields in that order, whatever order the names come in.
USER_COLUMNS = [field.attname for field in User._meta.concrete_fields if field.attname in WANTED]
FIND = f"""
SELECT t.scopes, t.id, t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute',
       {", ".join(f"u.{column}" for column in USER_COLUMNS)}
FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id
WHERE t.digest = %s AND u.is_active AND (t.expires_at IS NULL OR t.expires_at > now())
"""  # noqa: S608 - constant columns


class TokenAuthentication(BaseAuthentication):
    """One indexed query per request; views look at the token's scopes."""

    def authenticate(self, request: Request) -> tuple[User, Grant] | None:
        scheme, _, plain = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = sql.read(FIND, [token_digest(plain.strip())])
        if not found:
            raise AuthenticationFailed("This token is unknown, expired or its owner was deactivated.")
        scopes, token_id, unseen, *person = found[0]
        if unseen:
            ApiToken.objects.filter(pk=token_id).update(last_used_at=timezone.now())
        return User.from_db("default", USER_COLUMNS, person), Grant(token_id, scopes)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def current_user(request: Request) -> User:
    """The signed-in person; the default permission has refused everybody else."""
    return cast("User", request.user)
