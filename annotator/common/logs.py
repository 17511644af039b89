"""Log lines that say to which request they belong: as text, or as one JSON object a line. No personal data, no bodies."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject, empty

# The request that this thread serves.
current: ContextVar[HttpRequest | None] = ContextVar("request", default=None)
EXTRAS = ("duration_ms", "status", "method")


def request_facts(request: HttpRequest) -> dict[str, Any]:
    """What a log may tell of a request: numbers and names of ours. Paths stay out: some carry secrets."""
    facts: dict[str, Any] = {"request_id": getattr(request, "id", "")}
    # Asking for the person would be a query; whoever needed them has loaded them.
    user: Any = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = None if user._wrapped is empty else user
    if getattr(user, "pk", None):
        facts["user"] = user.pk
    match = request.resolver_match
    if match is not None:
        facts["route"] = match.view_name
        if "project_id" in match.kwargs:
            facts["project"] = match.kwargs["project_id"]
    return facts


class RequestFilter(logging.Filter):
    """Gives each record the facts of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = current.get()
        facts = request_facts(request) if request is not None else {}
        record.facts = facts
        record.request_id = facts.get("request_id") or "-"
        return True


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, request and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "facts", {}),
        }
        line |= {name: getattr(record, name) for name in EXTRAS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING for `form` plain or json."""
    quiet: dict[str, dict[str, Any]] = {
        "django.request": {"level": "ERROR"},
        "django.channels.server": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    }
    if form == "json":  # the servers' own lines too
        servers = ("gunicorn.error", "uvicorn", "uvicorn.error")
        quiet |= {name: {"handlers": ["stderr"], "propagate": False} for name in servers}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "annotator.common.logs.RequestFilter"}},
        "formatters": {
            "plain": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
            "json": {"()": "annotator.common.logs.JsonFormatter"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["request"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": quiet,
    }
