from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from annotator.accounts.models import User
from annotator.projects import selectors


def switcher(request: HttpRequest) -> dict[str, Any]:
    """Projects for the menu at the top; asked for only where a page draws that menu."""
    user = getattr(request, "user", None)
    return {
        "switch_projects": SimpleLazyObject(
            lambda: selectors.switcher(user) if isinstance(user, User) else []
        )
    }
