"""Who asks: the address of a client, also behind proxies."""

from __future__ import annotations

import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest

PASSED_ON = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def client_address(request: HttpRequest) -> str:
    """Address of the client. Behind `settings.PROXIES` proxies it is what the outermost of them saw.

    Counted from the right: what stands further left was written by the client and may be anything.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.PROXIES:
        return peer
    seen = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    given = seen[-min(settings.PROXIES, len(seen))] if seen else peer
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        return peer


def is_shared(request: HttpRequest) -> bool:
    """Whether the address is that of a proxy nobody told us about: then all people have it in common."""
    return not settings.PROXIES and any(name in request.META for name in PASSED_ON)


def is_local(request: HttpRequest) -> bool:
    """Whether a program on this very machine asks, not a proxy for somebody else."""
    if any(name in request.META for name in PASSED_ON):
        return False
    try:
        return ipaddress.ip_address(str(request.META.get("REMOTE_ADDR", ""))).is_loopback
    except ValueError:
        return False


def has_operator_token(request: HttpRequest) -> bool:
    """Whether the request carries ANNOTATOR_METRICS_TOKEN as `Authorization: Bearer`."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted: str = settings.METRICS_TOKEN
    return (
        bool(wanted)
        and scheme.lower() == "bearer"
        and secrets.compare_digest(given.strip().encode(), wanted.encode())
    )
