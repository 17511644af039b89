"""The API of one project as a program sees it. Everything sent can be sent again, so a lost answer is asked for anew."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import httpx

from annotator.workspace.simulation.errors import SimulationError, Stopped

TIMEOUT = 60.0
TRIES, WAIT = 6, 0.5  # seconds, doubling: about fifteen in all, in which a fallen server is back


class Api:
    """Calls with one person's token, on one connection kept open."""

    def __init__(self, url: str, project_id: int, token: str, stop: threading.Event) -> None:
        self._stop = stop
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/projects/{project_id}/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        wait, last = WAIT, ""
        for _ in range(TRIES):
            if self._stop.is_set():
                raise Stopped("Stopped.")
            try:
                response = self._client.request(method, path, **options)
            except httpx.TransportError as error:
                last = f"{type(error).__name__}: {error}"
            else:
                if not response.is_server_error:
                    return _content(response, method, path)
                last = f"status {response.status_code}"
            self._stop.wait(wait)
            wait *= 2
        raise SimulationError(
            f"{method} {path} failed {TRIES} times ({last}).",
            hint="See logs/web.log in the data folder.",
        )


class Refused(SimulationError):
    """The application said no; `code` is its own."""


def check_server(url: str) -> None:
    """SimulationError unless a healthy application answers at `url`."""
    try:
        response = httpx.get(f"{url.rstrip('/')}/healthz", timeout=10, trust_env=False)
    except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
        raise SimulationError(
            f"No application answers at {url} ({error}).",
            hint="Start it with 'make run', or say with --url where it is.",
        ) from error
    if response.status_code != httpx.codes.OK:
        raise SimulationError(
            f"The application at {url} is not well: /healthz answers {response.status_code}.",
            hint="See logs/ in its data folder.",
        )


def _content(response: httpx.Response, method: str, path: str) -> Any:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise SimulationError(
            "The application does not know the accounts made here: it works on another database.",
            hint="Give this command the same ANNOTATOR_HOME and DATABASE_URL as the application.",
        )
    if response.is_error:
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        raise Refused(
            f"{method} {path}: {problem.get('title', response.text[:200])}",
            code=problem.get("code", "refused"),
            status=response.status_code,
            hint=problem.get("detail", ""),
        )
    return response.json() if response.content else None
