"""Each request has an id, is counted, and is logged when it was slow. Runs with every label: microseconds."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram

from annotator.common import logs

GetResponse = Callable[[HttpRequest], HttpResponse]
logger = logging.getLogger(__name__)

SANE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
# Of this process; where several serve, prometheus_client keeps the values in files that /metrics adds up.
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "annotator_http_requests_total", "Requests served.", ("method", "route", "status"), registry=REGISTRY
)
SECONDS = Histogram(
    "annotator_http_request_seconds",
    "Time to answer, by route.",
    ("route",),
    buckets=BUCKETS,
    registry=REGISTRY,
)
# `labels()` locks and builds a tuple each time; there are few routes, so their counters are kept at hand.
_requests: dict[tuple[str, str, int], Counter] = {}
_seconds: dict[str, Histogram] = {}


def request_id_of(request: HttpRequest) -> str:
    """The id a proxy or client gave, when it is one; else a new one of 64 random bits."""
    given = request.META.get("HTTP_X_REQUEST_ID")
    return given if given and SANE.fullmatch(given) else secrets.token_hex(8)


def count(request: HttpRequest, status: int, seconds: float) -> None:
    match = request.resolver_match
    route = match.view_name if match is not None and match.view_name else "none"
    method = request.method if request.method in METHODS else "other"
    key = (str(method), route, status)
    counter = _requests.get(key)
    if counter is None:
        counter = _requests[key] = REQUESTS.labels(*key)
    counter.inc()
    histogram = _seconds.get(route)
    if histogram is None:
        histogram = _seconds[route] = SECONDS.labels(route)
    histogram.observe(seconds)


class RequestMiddleware:
    """The outermost one: what it cannot see did not happen."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.slow = settings.SLOW_SECONDS

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request.id = request_id_of(request)  # type: ignore[attr-defined]
        token = logs.current.set(request)
        try:
            response = self.get_response(request)
            spent = time.perf_counter() - started
            response.headers["X-Request-ID"] = request.id  # type: ignore[attr-defined]
            count(request, response.status_code, spent)
            if spent >= self.slow:
                facts = {
                    "duration_ms": round(spent * 1000),
                    "status": response.status_code,
                    "method": request.method,
                }
                logger.warning(
                    "Slow request: %d ms, %s %s, status %d",
                    facts["duration_ms"],
                    request.method,
                    request.resolver_match.view_name if request.resolver_match else "no route",
                    response.status_code,
                    extra=facts,
                )
            return response
        finally:
            logs.current.reset(token)
