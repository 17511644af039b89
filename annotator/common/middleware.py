"""Errors become answers here, for pages, htmx fragments and the API alike."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render

from annotator.common.errors import AnnotatorError

GetResponse = Callable[[HttpRequest], HttpResponse]


def wants_problem(request: HttpRequest) -> bool:
    """Whether the client is a program (API, htmx, fetch) and so gets a problem document, not a page."""
    return (
        request.path.startswith("/api/")
        or request.headers.get("HX-Request") == "true"
        or request.headers.get("Accept", "").startswith("application/")
    )


def render_error(request: HttpRequest, error: AnnotatorError) -> HttpResponse:
    if wants_problem(request):
        return JsonResponse(error.problem(), status=error.status, content_type="application/problem+json")
    return render(request, "error.html", {"error": error}, status=error.status)


def socket_origin(request: HttpRequest) -> str:
    """Where the page's live events come from: as set, else this host at the socket server's own port."""
    if settings.SOCKET_URL:
        return str(settings.SOCKET_URL).rstrip("/")
    scheme = "wss" if request.is_secure() else "ws"
    name = urlsplit(f"//{request.get_host()}").hostname or "localhost"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{settings.SOCKET_PORT}"


class PolicyMiddleware(CSPMiddleware):
    """The policy of the settings for pages; what is no page may do nothing at all."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        return response


class SocketOriginMiddleware:
    """Lets pages connect to the socket server, which is another origin where no proxy joins them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response._csp_update = {"connect-src": socket_origin(request)}  # type: ignore[attr-defined]
        return response


class ErrorMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return render_error(request, exception) if isinstance(exception, AnnotatorError) else None
