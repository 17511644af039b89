"""Readiness and metrics for machines, the self-check for administrators."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from annotator.accounts.people import administrators_only
from annotator.common.clients import has_operator_token, is_local
from annotator.common.errors import Forbidden
from annotator.common.middleware import socket_origin
from annotator.operations import health, metrics, self_check


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything that is needed is there, else 503; what is wrong, for those who may know."""
    findings = health.readiness()
    ready = health.is_ready(findings)
    answer: dict[str, object] = {"status": "ready" if ready else "not ready"}
    if is_local(request) or has_operator_token(request) or request.user.is_superuser:
        answer["problems"] = [finding.sentence for finding in findings if finding.state == health.BAD]
        answer["findings"] = [finding.as_json() for finding in findings]
    response = JsonResponse(answer, status=200 if ready else 503)
    # Asked every few seconds: Django would log each 503 as an error of ours.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@never_cache
@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with the token, or from this machine."""
    if not (is_local(request) or has_operator_token(request)):
        raise Forbidden(
            "Metrics are read with a token.",
            hint="Send 'Authorization: Bearer' with the value of ANNOTATOR_METRICS_TOKEN.",
        )
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


@never_cache
@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def check(request: HttpRequest) -> HttpResponse:
    """The page; a POST, which changes nothing, only shows that forms get through."""
    if request.method == "POST":
        return HttpResponse(status=204)
    context = {
        "groups": [
            ("The way from the browser", self_check.of_request(request)),
            ("The installation", self_check.of_server()),
        ],
        "socket_origin": socket_origin(request),
    }
    return render(request, "operations/check.html", context)


@never_cache
@administrators_only
@require_safe
def check_browser(request: HttpRequest) -> HttpResponse:
    """Findings about what this browser says of itself, as a fragment.

    A GET, so that it works where forms are refused, which is what it is to explain.
    """
    browser = self_check.browser_from(request.GET.dict())
    if browser is None:
        return HttpResponse(status=400)
    findings = self_check.of_browser(request, browser)
    return render(request, "operations/check.html#findings", {"findings": findings})
