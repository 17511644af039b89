"""Pages that belong to no app: health and the last resorts."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from annotator.common.errors import AnnotatorError, Forbidden, NotFound
from annotator.common.middleware import render_error


def healthz(request: HttpRequest) -> HttpResponse:
    """200 once this process answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render_error(request, AnnotatorError("The request could not be understood."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render_error(request, Forbidden("You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render_error(
        request, NotFound("There is nothing here.", hint="The link may be old, or you may not see it.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    error = AnnotatorError(
        "Something went wrong on the server.",
        code="server_error",
        status=500,
        hint="It was logged. Nothing was lost.",
        **({"request_id": found} if (found := getattr(request, "id", "")) else {}),
    )
    return render_error(request, error)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    hint = (
        "Reload the page and try again. If it stays so behind a proxy, this site's address is missing in "
        "CSRF_TRUSTED_ORIGINS: an administrator who is signed in finds what to set at /admin/check/, one who is not "
        "with 'python manage.py selfcheck'."
    )
    return render_error(request, Forbidden("Your page is out of date.", code="csrf", hint=hint))
