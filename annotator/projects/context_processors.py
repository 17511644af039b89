from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from annotator.projects.models import Project

SWITCHER = 15  # projects in the menu; the list page has all


def projects(request: HttpRequest) -> dict[str, Any]:
    """The project switcher of the top bar, queried only by pages that show it."""

    def switch() -> list[Project]:
        if not request.user.is_authenticated:
            return []
        return list(
            Project.objects.visible_to(request.user).filter(archived_at=None).order_by("name")[:SWITCHER]
        )

    return {"switch_projects": SimpleLazyObject(switch)}
