"""The annotate screen and the dashboard."""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from annotator.accounts.models import User
from annotator.jobs.models import Job
from annotator.jobs.selectors import job_title, worker_state
from annotator.learning.evidence import helping_of
from annotator.learning.selectors import health, learning_curve, model_in_use
from annotator.modalities import modality
from annotator.projects.access import can_annotate, can_inspect, can_view
from annotator.projects.models import LabelClass, Project
from annotator.quality import serving
from annotator.workspace import selectors

RECENT_JOBS = 4


@login_required
@require_safe
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
        **(_health(project) if can.inspect else {}),
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


PARTS = ("figures", "evidence", "jobs", "people", "queue")


@login_required
@require_safe
def dashboard(request: HttpRequest, project_id: int) -> HttpResponse:
    """The project at a glance. `?part=` asks for one partial, which live events renew."""
    project, can = can_view(request.user, project_id)
    part = request.GET.get("part")
    context: dict[str, Any] = {"project": project, "can": can, "active_tab": "dashboard"}
    wanted = (part,) if part in PARTS else PARTS
    if "figures" in wanted:
        context |= {"progress": selectors.progress(project), **_measured(project)}
        if not can.inspect and serving.conceals(project.pk):
            # Exact figures that one's answer to an item does not change would give away that it was a check.
            context["own"] = selectors.own_work(project.pk, cast(User, request.user).pk)
    if "evidence" in wanted:
        context["helping"] = helping_of(project)
    if can.inspect and "jobs" in wanted:
        recent = Job.objects.filter(project=project).order_by("-pk")[:RECENT_JOBS]
        context |= {"jobs": [(job, job_title(job)) for job in recent], "worker": worker_state()}
    if can.inspect and "people" in wanted:
        context |= {"throughput": selectors.throughput(project.pk), "held": selectors.held_now(project.pk)}
    if can.inspect and "queue" in wanted:
        context["queue"] = selectors.next_in_queue(project.pk)
    template = f"workspace/dashboard.html#{part}" if part in PARTS else "workspace/dashboard.html"
    return render(request, template, context)


@login_required
@require_safe
def health_badge(request: HttpRequest, project_id: int) -> HttpResponse:
    """The header's badge: is the ranking sound, by which model, how old."""
    project, can = can_view(request.user, project_id)
    context = {"project": project, "can": can, **_health(project)}
    return render(request, "_shared.html#health", context)


@login_required
@require_safe
def curve(request: HttpRequest, project_id: int) -> JsonResponse:
    """Accuracy and macro-F1 on the random share by number of labels, for the chart."""
    project, _ = can_view(request.user, project_id)
    points = [point for point in learning_curve(project) if point["state"] == "measured"]
    series = [
        {"name": name, "points": [_point(point["labels"], point[key]) for point in points if point[key]]}
        for name, key in (("Accuracy", "accuracy"), ("Macro-F1", "macro_f1"))
    ]
    return JsonResponse(
        {
            "x_label": "labels",
            "y_label": "on the random share",
            "format": "percent",
            "least": 0,
            "most": 1,
            "empty": "The curve begins with the first model that has enough random labels to be measured on.",
            "series": series if points else [],
        }
    )


@login_required
@require_safe
def balance(request: HttpRequest, project_id: int) -> JsonResponse:
    """Answers by class, for the chart. People who label blind see no distribution."""
    project, _ = can_inspect(request.user, project_id)
    return JsonResponse({"rows": selectors.class_balance(project.schema), "empty": "No answers yet."})


def _point(labels: int, measured: dict[str, float]) -> dict[str, float]:
    return {"x": labels, "y": measured["value"], "low": measured["low"], "high": measured["high"]}


def _health(project: Project) -> dict[str, Any]:
    return {"health": health(project), "health_url": reverse("workspace:health", args=[project.pk])}


def _measured(project: Project) -> dict[str, Any]:
    """The accuracy tile: the model in use, or what is still missing."""
    known = _health(project)
    model = model_in_use(project.pk)
    metrics = model.metrics if model else {}
    known["open_entries"] = known["health"]["open_entries"]
    if metrics.get("state") == "measured":
        accuracy = metrics["accuracy"]
        return known | {
            "accuracy": {
                "percent": round(100 * accuracy["value"], 1),
                "low": round(100 * accuracy["low"], 1),
                "high": round(100 * accuracy["high"], 1),
                "n": metrics["n"],
            }
        }
    if model is None:
        return known | {"accuracy_missing": "No model yet: label items of at least two classes."}
    return known | {
        "accuracy_missing": f"{metrics.get('n', 0)} of {metrics.get('needed', 10)} random labels so far."
    }
