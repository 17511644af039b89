"""Pages about webhooks, under a project's settings; managers only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.views import signed_in
from annotator.common.errors import AnnotatorError
from annotator.common.pagination import key_from, keyset_page
from annotator.hooks import services
from annotator.hooks.forms import WebhookForm
from annotator.hooks.models import Delivery, Kind, Webhook
from annotator.projects.access import Can, can_manage
from annotator.projects.models import Project

LOG = 50


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: HttpRequest, project_id: int) -> HttpResponse:
    """The project's webhooks; POST makes one and shows its secret, this once."""
    project, can = can_manage(request.user, project_id)
    form = WebhookForm(request.POST or None)
    context: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = services.create_webhook(
                project=project, by=signed_in(request), **form.cleaned_data
            )
        except AnnotatorError as error:
            form.add_error("url", " ".join(filter(None, [error.message, error.hint])))
        else:
            context = {"made": made, "secret": secret}
            form = WebhookForm()
    context |= {"form": form, "webhooks": project.webhooks.order_by("pk"), "project": project, "can": can}
    context |= {"active_tab": "webhooks", "kinds": Kind.choices}
    return render(request, "hooks/webhooks.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: HttpRequest, project_id: int, webhook_id: int) -> HttpResponse:
    """One webhook with its log; POST changes it."""
    project, can = can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    form = WebhookForm(request.POST or None, initial={"url": found.url, "events": found.events})
    if request.method == "POST" and form.is_valid():
        try:
            services.update_webhook(webhook=found, **form.cleaned_data)
        except AnnotatorError as error:
            form.add_error("url", " ".join(filter(None, [error.message, error.hint])))
        else:
            messages.success(request, "Saved.")
            return redirect("hooks:webhook", project_id, webhook_id)
    return _page(request, project, can, found, form=form, status=422 if form.errors else 200)


@never_cache
@login_required
@require_POST
def rotate(request: HttpRequest, project_id: int, webhook_id: int) -> HttpResponse:
    """A new secret, shown this once."""
    project, can = can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    secret = services.rotate_secret(webhook=found)
    return _page(request, project, can, found, secret=secret)


@login_required
@require_POST
def switch(request: HttpRequest, project_id: int, webhook_id: int) -> HttpResponse:
    """On, when it is off; off, when it is on."""
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    services.update_webhook(webhook=found, active=not found.active)
    messages.success(request, "It is told again." if found.active else "It is told nothing more.")
    return redirect("hooks:webhook", project_id, webhook_id)


@login_required
@require_POST
def test(request: HttpRequest, project_id: int, webhook_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    services.send_test(webhook=services.webhook_of(project_id, webhook_id), by=signed_in(request))
    messages.success(request, "A test is on its way: its outcome stands in the log in a moment.")
    return redirect("hooks:webhook", project_id, webhook_id)


@login_required
@require_POST
def delete(request: HttpRequest, project_id: int, webhook_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    services.delete_webhook(webhook=services.webhook_of(project_id, webhook_id))
    messages.success(request, "The webhook is deleted.")
    return redirect("hooks:webhooks", project_id)


@login_required
@require_safe
def delivery(request: HttpRequest, project_id: int, webhook_id: int, delivery_id: int) -> HttpResponse:
    """What was sent, and what came back."""
    project, can = can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    context = {
        "project": project,
        "can": can,
        "active_tab": "webhooks",
        "webhook": found,
        "delivery": services.delivery_of(found, delivery_id),
    }
    return render(request, "hooks/delivery.html", context)


@login_required
@require_POST
def again(request: HttpRequest, project_id: int, webhook_id: int, delivery_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    found = services.webhook_of(project_id, webhook_id)
    services.send_again(delivery=services.delivery_of(found, delivery_id))
    messages.success(request, "It is sent again.")
    return redirect("hooks:webhook", project_id, webhook_id)


def _page(
    request: HttpRequest, project: Project, can: Can, found: Webhook, *, status: int = 200, **more: Any
) -> HttpResponse:
    after = request.GET.get("after", "")
    log = Delivery.objects.filter(webhook=found)
    context = {
        "project": project,
        "can": can,
        "active_tab": "webhooks",
        "webhook": found,
        "form": WebhookForm(initial={"url": found.url, "events": found.events}),
        "page": keyset_page(log, key="pk", after=key_from(after), size=LOG, descending=True),
        "after": after,
        **more,
    }
    return render(request, "hooks/webhook.html", context, status=status)
