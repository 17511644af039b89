"""One connection to a server: repeats what failed for a moment, turns refusals into errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from annotator_client.errors import Refused, Unreachable

PATIENCE = 30.0  # seconds over which a call is repeated
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
MOMENTARY = frozenset({429, 502, 503, 504})


class Http:
    """Calls below `/api/v1/` with a token. Everything sent is safe to send again, so it is, until `patience` is over."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 60.0,
        patience: float = PATIENCE,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._patience, self._sleep = patience, sleep
        self.client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}", "User-Agent": "annotator-client"},
            timeout=timeout,
            transport=transport,
        )

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """The server's answer to a request it accepted; Refused or Unreachable."""
        waited, wait = 0.0, FIRST_WAIT
        while True:
            why, asked = "", 0.0
            try:
                response = self.client.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in MOMENTARY:
                    return _accepted(response)
                why, asked = f"status {response.status_code}", _retry_after(response)
            pause = max(wait, asked)
            if waited + pause > self._patience:
                raise Unreachable(
                    f"{method} {path}: no answer within {self._patience:.0f} seconds ({why}).",
                    hint="Check the address and that the server runs.",
                )
            self._sleep(pause)
            waited, wait = waited + pause, min(LONGEST_WAIT, 2 * wait)

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The parsed answer; None where it has no content."""
        response = self.call(method, path, **options)
        return response.json() if response.content else None


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    problem: dict[str, Any] = {}
    response.read()
    if "json" in response.headers.get("Content-Type", ""):
        found = response.json()
        problem = found if isinstance(found, dict) else {}
    if response.is_redirect:
        problem = {
            "title": f"The server sends to {response.headers.get('Location', 'elsewhere')}: use that address."
        }
    fields = problem.get("errors")
    detail = (
        "; ".join(f"{name}: {value}" for name, value in fields.items()) if isinstance(fields, dict) else ""
    )
    raise Refused(
        str(problem.get("title") or f"The server refused it (status {response.status_code})."),
        status=response.status_code,
        code=str(problem.get("code", "refused")),
        hint=" ".join(filter(None, [str(problem.get("detail") or ""), detail])),
    )
