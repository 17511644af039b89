"""Pages about learning: its settings, its models and rounds."""

from __future__ import annotations

import copy
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.models import User
from annotator.common.errors import AnnotatorError
from annotator.common.pagination import key_from, keyset_page
from annotator.learning import catalogue, selectors, services
from annotator.learning.forms import SettingsForm
from annotator.learning.models import ModelVersion, Round
from annotator.projects.access import can_inspect, can_manage

MODELS_SHOWN, ROUNDS_SHOWN = 50, 25


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """Choose encoder, strategies and triggers. `refresh` shows the parameters of another choice without saving."""
    user = cast(User, request.user)
    project, can = can_manage(user, project_id)
    settings = services.settings_of(project)
    draft = "refresh" in request.POST
    # The form writes into its own instance.
    form = SettingsForm(request.POST or None, instance=copy.copy(settings), draft=draft)
    status = 200
    if request.method == "POST" and not draft:
        if form.is_valid():
            try:
                services.update_settings(settings=settings, by=user, values=form.values())
            except AnnotatorError as error:
                form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
            else:
                messages.success(request, "Saved. The queue follows with the next round.")
                return redirect("learning:settings", project_id)
        status = 422
    proposed = form.proposed()
    context = {
        "project": project,
        "can": can,
        "active_tab": "learning",
        "form": form,
        "health": selectors.health(project),
        "failed_plug_ins": catalogue.failed_plug_ins(),
        "outlook": selectors.outlook(proposed) if proposed else "",
    }
    template = (
        "learning/settings.html#form" if request.headers.get("HX-Request") else "learning/settings.html"
    )
    return render(request, template, context, status=status)


@login_required
@require_safe
def models_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """Models with their measures, and the rounds that made them."""
    project, can = can_inspect(request.user, project_id)
    page = keyset_page(
        ModelVersion.objects.filter(project=project).select_related("schema"),
        key="number",
        after=key_from(request.GET.get("after")),
        size=MODELS_SHOWN,
        descending=True,
    )
    rounds = Round.objects.filter(project=project).select_related("model", "job")[:ROUNDS_SHOWN]
    context = {
        "project": project,
        "can": can,
        "active_tab": "models",
        "page": page,
        "after": request.GET.get("after"),
        "models": page.rows,
        "rounds": rounds,
        "running": any(round_.active for round_ in rounds),
        "health": selectors.health(project),
    }
    template = "learning/models.html#body" if request.headers.get("HX-Request") else "learning/models.html"
    return render(request, template, context)


@login_required
@require_safe
def health_badge(request: HttpRequest, project_id: int) -> HttpResponse:
    """The header's badge, for refreshing."""
    project, _ = can_inspect(request.user, project_id)
    context = {"project": project, "health": selectors.health(project), "health_url": request.path}
    return render(request, "_shared.html#health", context)


@login_required
@require_POST
def start_round(request: HttpRequest, project_id: int) -> HttpResponse:
    user = cast(User, request.user)
    project, _ = can_manage(user, project_id)
    round_ = services.start_round(project=project, by=user)
    messages.success(request, f"Round {round_.number} has begun.")
    return redirect("learning:models", project_id)


@login_required
@require_POST
def cancel_round(request: HttpRequest, project_id: int, number: int) -> HttpResponse:
    project, _ = can_manage(request.user, project_id)
    services.cancel_round(round_=services.round_of(project.pk, number))
    messages.success(request, f"Round {number} will stop; the queue stays as it is.")
    return redirect("learning:models", project_id)


@login_required
@require_POST
def use_model(request: HttpRequest, project_id: int, number: int) -> HttpResponse:
    """Roll back to a model."""
    user = cast(User, request.user)
    project, _ = can_manage(user, project_id)
    round_ = services.roll_back(version=services.model_of(project.pk, number), by=user)
    messages.success(request, f"Model {number} is in use again; round {round_.number} ranks with it.")
    return redirect("learning:models", project_id)
