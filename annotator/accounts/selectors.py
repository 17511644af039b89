"""Lists of people for pages and forms."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from annotator.accounts.models import ApiToken, User


def people(*, search: str = "", active: bool | None = True) -> QuerySet[User]:
    """Accounts by name; `active` None lists all."""
    found = User.objects.all()
    if active is not None:
        found = found.filter(is_active=active)
    for word in search.split()[:5]:
        found = found.filter(
            Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        )
    return found.order_by("username")


def tokens_of(user: User) -> QuerySet[ApiToken]:
    return user.api_tokens.order_by("-pk")
