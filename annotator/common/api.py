"""How the API says that something is wrong: RFC 9457 problem documents, in one place."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import IO, Any, cast

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import exception_handler

from annotator.common.errors import AnnotatorError
from annotator.common.pagination import key_from

CONTENT_TYPE = "application/problem+json"
SURROGATE = re.compile("[\ud800-\udfff]")


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of an API view as a problem document; unexpected ones stay exceptions (logged, 500)."""
    if isinstance(error, AnnotatorError):
        return Response(error.problem(), status=error.status, content_type=CONTENT_TYPE)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        code, title = "invalid", "Some fields are not valid."
        extra: dict[str, Any] = {"errors": response.data}
    else:
        known = {Http404: "not_found", PermissionDenied: "forbidden"}
        code = known.get(type(error)) or str(getattr(error, "default_code", "error"))
        title = str(response.data.get("detail", error)) if isinstance(response.data, dict) else str(error)
        extra = {}
    response.data = {
        "type": f"urn:annotator:{code}",
        "title": title,
        "status": response.status_code,
        "code": code,
        **extra,
    }
    response.content_type = CONTENT_TYPE
    return response


def parsed(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body as `serializer` understands it, or a 400 that names each wrong field."""
    return cast("dict[str, Any]", _made(serializer).run_validation(request.data))


@lru_cache
def _made(serializer: type[Serializer[Any]]) -> Serializer[Any]:
    """One for all requests: to make its fields costs more than to use them, and using them changes nothing."""
    return serializer()


def after_of(request: Request) -> int | None:
    """`?after=`: the key behind which a keyset page starts; None for the first page and for what is no number."""
    return key_from(request.query_params.get("after"))


class StorableJSONParser(JSONParser):
    """JSON that the database can keep: no NUL, no halves of surrogate pairs, nested as deep as people write."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            value = super().parse(stream, media_type, parser_context)
            storable = _storable(value)
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deep.") from None
        if not storable:
            raise exceptions.ParseError(
                "The JSON holds characters that are no text (NUL or lone surrogates)."
            )
        return value


def _storable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or not SURROGATE.search(value))
    if isinstance(value, dict):
        return all(_storable(key) and _storable(each) for key, each in value.items())
    return not isinstance(value, list) or all(map(_storable, value))


class KeyField(serializers.IntegerField):
    """The number of a row, as large as the database counts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=2**63 - 1, **options)
