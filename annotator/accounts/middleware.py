"""A one-time password opens one page only: the one where another is chosen."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from annotator.common.errors import Forbidden
from annotator.common.middleware import render_error, wants_problem

GetResponse = Callable[[HttpRequest], HttpResponse]
# Set at sign-in: a reset ends all sessions, so the session knows, and requests need not load the person for it.
SESSION_KEY = "must_change_password"


class OneTimePasswordMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.session.get(SESSION_KEY) or _allowed(request.path):
            return self.get_response(request)
        if wants_problem(request):
            error = Forbidden(
                "Choose a password of your own first.",
                code="password_change_required",
                hint=f"Open {reverse('accounts:password_change')}.",
            )
            return render_error(request, error)
        return redirect("accounts:password_change")


def _allowed(path: str) -> bool:
    open_pages = (reverse("accounts:password_change"), reverse("accounts:logout"), reverse("healthz"))
    return path in open_pages or path.startswith(settings.STATIC_URL)
