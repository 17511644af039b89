"""How the API says that something is wrong: RFC 9457 problem documents, in one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import IO, Any, cast

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import exception_handler

from annotator.common.errors import AnnotatorError
from annotator.common.pagination import keyset_page

CONTENT_TYPE = "application/problem+json"
PAGE, LARGEST_PAGE = 100, 1_000
SURROGATE = re.compile("[\ud800-\udfff]")


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of an API view as a problem document; unexpected ones stay exceptions (logged, 500)."""
    if isinstance(error, AnnotatorError):
        wait = error.extra.get("retry_after")
        headers = {"Retry-After": str(wait)} if wait else None
        return Response(error.problem(), status=error.status, headers=headers, content_type=CONTENT_TYPE)
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


def queried(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """What stands behind the question mark as `serializer` understands it; other names are not looked at."""
    return cast("dict[str, Any]", _made(serializer).run_validation(request.query_params.dict()))


class PageQuery(serializers.Serializer[Any]):
    """Every list's own two parameters; lists with filters add theirs."""

    after = serializers.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, help_text="`next_after` of the page before."
    )
    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=LARGEST_PAGE)


def page_out(name: str, row: Any) -> type[Serializer[Any]]:
    """The serializer of a page of rows, for the OpenAPI document."""
    members = {
        "results": row(many=True),
        "next_after": serializers.IntegerField(
            allow_null=True, help_text="Pass as `after` for the next page; null on the last."
        ),
        "next": serializers.CharField(
            allow_null=True, help_text="Address of the next page; null on the last."
        ),
    }
    return type(name, (serializers.Serializer,), members)


def listed(
    request: Request,
    rows: QuerySet[Any],
    values: Mapping[str, Any],
    to_json: Callable[[list[Any]], list[Any]],
    *,
    key: str = "id",
    descending: bool = True,
) -> Response:
    """One keyset page of the rows behind `after`."""
    page = keyset_page(
        rows, key=key, after=values.get("after"), size=values.get("limit", PAGE), descending=descending
    )
    return page_response(request, to_json(page.rows), page.next_after)


def page_response(request: Request, results: list[Any], next_after: Any, **more: Any) -> Response:
    """Rows with the way to the next ones: the key to go on behind, and the whole address."""
    following = None
    if next_after is not None:
        query = request.query_params.copy()
        query["after"] = str(next_after)
        following = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
    return Response({**more, "results": results, "next_after": next_after, "next": following})


class RowsJSONParser(JSONParser):
    """JSON whose rows are judged one by one: what cannot be kept is for the view to report, row by row."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deep.") from None


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
