"""ETags: a read that changed nothing costs no body, an edit of what somebody else changed meanwhile is refused.

A tag has two halves, of what can be edited and of the rest (progress, counts). `If-None-Match` compares both, `If-Match`
the first only: an answer given meanwhile is no reason to refuse a new name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.common.errors import AnnotatorError


class Precondition(AnnotatorError):
    code, status = "changed_meanwhile", 412


def etag_of(document: Mapping[str, Any], *, rest: Collection[str] = ()) -> str:
    """The tag of a document; `rest` names the fields that nobody edits."""
    edited = {name: value for name, value in document.items() if name not in rest}
    others = {name: value for name, value in document.items() if name in rest}
    return f'"{_digest(edited)}.{_digest(others)}"'


def tagged(
    request: Request, document: Mapping[str, Any], *, rest: Collection[str] = (), status: int = 200
) -> Response:
    """The document with its tag, or 304 without it where the caller has it already."""
    tag = etag_of(document, rest=rest)
    known = _tags(request.headers.get("If-None-Match", ""))
    if request.method == "GET" and (tag in known or "*" in known):
        return Response(status=304, headers={"ETag": tag})
    return Response(document, status=status, headers={"ETag": tag})


def check_match(request: Request, document: Mapping[str, Any], *, rest: Collection[str] = ()) -> None:
    """Raise Precondition when `If-Match` names another state than the document's."""
    given = request.headers.get("If-Match")
    if given is None:
        return
    now = etag_of(document, rest=rest).partition(".")[0]
    known = _tags(given)
    if "*" not in known and now not in {tag.partition(".")[0] for tag in known}:
        raise Precondition(
            "Somebody changed this since you read it.",
            hint="Read it again, look at what changed, and send your edit with the new ETag.",
        )


@contextmanager
def edit_lock(project_id: int) -> Iterator[None]:
    """A transaction in which nobody else edits the project over the API: between looking at a tag and writing."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, -2)", [project_id])
        yield


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _tags(header: str) -> set[str]:
    return {part.strip().removeprefix("W/") for part in header.split(",")}
