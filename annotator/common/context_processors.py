from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from annotator.common.middleware import socket_origin


def site(request: HttpRequest) -> dict[str, Any]:
    """What every page may use: the CSP nonce and where live events come from."""
    return {"csp_nonce": getattr(request, "csp_nonce", ""), "socket_url": socket_origin(request)}
