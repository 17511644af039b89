"""Pages about quality: figures, settings, disagreements to decide, gold."""

from __future__ import annotations

import json
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.models import User
from annotator.common.errors import AnnotatorError
from annotator.common.pagination import key_from
from annotator.jobs.models import Job
from annotator.modalities import modality
from annotator.projects.access import can_manage, can_review
from annotator.projects.models import Project
from annotator.quality import selectors, services
from annotator.quality.forms import GoldForm, QualityForm


@login_required
@require_safe
def overview(request: HttpRequest, project_id: int) -> HttpResponse:
    """Agreement, people, confusions, what waits for a reviewer. htmx asks for the body alone."""
    project, can = can_review(request.user, project_id)
    settings = selectors.settings_or_default(project)
    report = selectors.report_of(project)
    context = {
        "project": project,
        "can": can,
        "active_tab": "quality",
        "settings": settings,
        "report": report,
        "gold": selectors.gold_of(report),
        "figures": selectors.figures(project, settings),
        "running": Job.objects.active().filter(project=project, kind=services.REPORT_JOB).exists(),
    }
    template = "quality/overview.html#body" if request.headers.get("HX-Request") else "quality/overview.html"
    return render(request, template, context)


@login_required
@require_POST
def renew(request: HttpRequest, project_id: int) -> HttpResponse:
    """Count anew, in the background."""
    project, _ = can_review(request.user, project_id)
    # The page itself says that they are being counted.
    services.start_report(project.pk, by=cast(User, request.user))
    return redirect("quality:overview", project_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """How labels become one, and how much is checked."""
    project, can = can_manage(request.user, project_id)
    form = QualityForm(request.POST or None, instance=selectors.settings_or_default(project))
    if request.method == "POST" and form.is_valid():
        services.update_settings(settings=services.settings_of(project), values=form.cleaned_data)
        services.start_report(project.pk, by=cast(User, request.user))
        messages.success(request, "Saved. The next round learns from labels made this way.")
        return redirect("quality:settings", project_id)
    context = {"project": project, "can": can, "active_tab": "quality-settings", "form": form}
    return render(request, "quality/settings.html", context, status=422 if form.errors else 200)


@login_required
@require_safe
def adjudicate(request: HttpRequest, project_id: int) -> HttpResponse:
    """One disagreement at a time, keyboard first; the page's script asks the API for them."""
    project, can = can_review(request.user, project_id)
    settings = selectors.settings_or_default(project)
    classes = project.schema.active_classes()
    config = {
        "api": reverse("api:quality", args=[project.pk]),
        "predictions": reverse("api:predictions", args=[project.pk]),
        "canvas": modality(project.modality).canvas,
        "canGold": can.manage,
        "schema": {
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
            # Answers may name classes of earlier versions.
            "names": selectors.class_names(project.schema),
        },
    }
    context = {
        "project": project,
        "can": can,
        "active_tab": "quality",
        "threshold": settings.threshold,
        "config": json.dumps(config),
    }
    return render(request, "quality/adjudicate.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gold(request: HttpRequest, project_id: int) -> HttpResponse:
    """Gold items with how people did on them; POST adds one."""
    project, can = can_manage(request.user, project_id)
    form = GoldForm(project, request.POST or None)
    if request.method == "POST" and form.is_valid() and form.item is not None:
        try:
            services.add_gold(
                project=project, item_id=form.item.pk, classes=form.chosen, by=cast(User, request.user)
            )
        except AnnotatorError as error:
            form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
        else:
            messages.success(request, f"{form.item.external_id} is gold now.")
            return redirect("quality:gold", project_id)
    rows, following = selectors.gold_rows(project, after=key_from(request.GET.get("after")) or 0)
    context = {
        "project": project,
        "can": can,
        "active_tab": "quality",
        "form": form,
        "rows": rows,
        "page": {"next_after": following},
        "after": request.GET.get("after"),
        "settings": selectors.settings_or_default(project),
    }
    return render(request, "quality/gold.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def remove_gold(request: HttpRequest, project_id: int, item_id: int) -> HttpResponse:
    """Back among the items that are served."""
    project, _ = can_manage(request.user, project_id)
    selectors.item_in(project, item_id)
    services.remove_gold(project_id=project.pk, item_id=item_id)
    messages.success(request, "The item is served like any other again.")
    return redirect("quality:gold", project_id)
