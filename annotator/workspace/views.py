"""The annotate screen."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from annotator.modalities import modality
from annotator.projects.access import can_annotate
from annotator.projects.models import LabelClass, Project


@login_required
@require_GET
def annotate(request: HttpRequest, project_id: int) -> HttpResponse:
    """One item at a time, keyboard first. Everything after the first paint goes through the API."""
    project, can = can_annotate(request.user, project_id)
    schema = project.schema
    classes = schema.active_classes()
    context = {
        "project": project,
        "can": can,
        "active_tab": "annotate",
        "classes": classes,
        "config": json.dumps(screen_config(project, schema.version, classes)),
    }
    return render(request, "workspace/annotate.html", context)


def screen_config(project: Project, version: int, classes: list[LabelClass]) -> dict[str, Any]:
    """What the screen's script needs: addresses, schema, rules of serving."""
    root = reverse("api:next", args=[project.pk]).removesuffix("next/")
    return {
        "api": root,
        "canvas": modality(project.modality).canvas,
        "showSuggestions": project.show_suggestions,
        "leaseSeconds": project.lease_seconds,
        "schema": {
            "version": version,
            "multiple": project.task == Project.Task.MULTI,
            "classes": [
                {
                    "key": c.key,
                    "name": c.name,
                    "color": c.colour,
                    "hotkey": c.hotkey,
                    "description": c.description,
                    "outlier": c.is_outlier,
                }
                for c in classes
            ],
        },
    }
