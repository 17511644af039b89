"""The one error tree of the product. Every error a person can cause carries a stable code, a status and what to do."""

from __future__ import annotations

from typing import Any


class AnnotatorError(Exception):
    """Something a person can understand and act on.

    `code` is stable (the API and tests rely on it), `status` is the HTTP status, `hint` says what to do next,
    `extra` is added to the API's problem document.
    """

    code = "error"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        hint: str = "",
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.hint = hint
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem document."""
        document: dict[str, Any] = {
            "type": f"urn:annotator:{self.code}",
            "title": self.message,
            "status": self.status,
            "code": self.code,
        }
        if self.hint:
            document["detail"] = self.hint
        return document | self.extra


class NotFound(AnnotatorError):
    code, status = "not_found", 404


class Forbidden(AnnotatorError):
    code, status = "forbidden", 403


class Conflict(AnnotatorError):
    code, status = "conflict", 409


class Invalid(AnnotatorError):
    code, status = "invalid", 422


class Busy(AnnotatorError):
    code, status = "busy", 503
