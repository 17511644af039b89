"""What every operation of the API has in common, added to its OpenAPI description: scope, errors, headers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from annotator.common.permissions import PUBLIC, HasScope, declaration_of

PROBLEM = "application/problem+json"
KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Sent again within a day, the same request with the same key is answered from memory.",
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="ETag of what is edited: 412 when it changed meanwhile.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="ETag of what one has: 304 when nothing changed.",
)


class ProblemOut(serializers.Serializer[Any]):
    """What went wrong, as RFC 9457 says it. `code` is stable; more fields may follow."""

    type = serializers.CharField(help_text="`urn:annotator:` and the code.")
    title = serializers.CharField(help_text="In words for people.")
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField(required=False, help_text="What to do about it.")
    errors = serializers.JSONField(required=False, help_text="Wrong fields by name.")  # type: ignore[assignment]


class Schema(AutoSchema):
    """Views say what they take and give; the rest is the same everywhere and said here."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        declared = declaration_of(self.view) or HasScope
        wanted = declared.scopes.get(self.method, ())
        operation["x-scopes"] = list(wanted)
        if wanted and PUBLIC not in wanted:
            words = f"Scope: {' or '.join(f'`{scope}`' for scope in wanted)}."
            operation["description"] = "\n\n".join(filter(None, [operation.get("description"), words]))
        for status in self._failures(declared):
            operation["responses"].setdefault(str(status), self._problem())
        if declared.tagged and self.method == "GET":
            operation["responses"]["304"] = {"description": "What the caller has is still so."}
        return operation

    def get_override_parameters(self) -> list[Any]:
        declared = declaration_of(self.view) or HasScope
        more: list[OpenApiParameter] = []
        if declared.creates and self.method == "POST":
            more.append(KEY)
        if declared.tagged:
            more.append(IF_NONE_MATCH if self.method == "GET" else IF_MATCH)
        return [*super().get_override_parameters(), *more]

    def _failures(self, declared: type[HasScope]) -> list[int]:
        found = [400, 401, 403, 404]
        if self.method != "GET":
            found += [409, 415, 422]
        elif "{project_id}" in self.path:
            found.append(409)
        if declared.tagged and self.method != "GET":
            found.append(412)
        if not declared.hot:
            found.append(429)
        return found

    def _problem(self) -> dict[str, Any]:
        component = self.resolve_serializer(ProblemOut, "response")
        return {"content": {PROBLEM: {"schema": component.ref}}, "description": "A problem."}
