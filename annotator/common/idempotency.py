"""`Idempotency-Key`: a request that creates something can be sent again without creating it twice."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, connection, transaction
from django.http import QueryDict
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.common.errors import AnnotatorError, Conflict, Invalid
from annotator.common.models import IdempotentReply

HEADER, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
LONGEST = 200
KEPT = timedelta(hours=24)
PATIENCE = "10s"
View = Callable[..., Any]

CLAIM = """
INSERT INTO common_idempotentreply (user_id, route, key, fingerprint, created_at) VALUES (%s, %s, %s, %s, now())
ON CONFLICT (user_id, route, key) DO UPDATE
  SET fingerprint = excluded.fingerprint, status = NULL, document = NULL, created_at = now()
  WHERE common_idempotentreply.created_at < now() - make_interval(secs => %s)
RETURNING id
"""


class KeyReused(Invalid):
    code = "idempotency_key_reused"


def idempotent(*secrets: str) -> Callable[[View], View]:
    """Under `@needs`: a POST with a key that was answered before gets that answer again. `secrets` names fields that are
    shown once: they are not kept, and empty in the second answer.

    The key is claimed in the transaction of the work itself: a twin sent meanwhile waits for its end, and what failed
    left nothing behind, so that it can be tried again with the same key.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: Request, *args: Any, **kwargs: Any) -> Any:
            key = request.headers.get(HEADER, "")
            if request.method != "POST" or not key or not request.user.is_authenticated:
                return view(request, *args, **kwargs)
            if len(key) > LONGEST or not key.isprintable():
                raise AnnotatorError(f"{HEADER} is at most {LONGEST} printable characters.", code="bad_key")
            mark = fingerprint(request)  # before the transaction: bodies of gigabytes are read for it
            with transaction.atomic():
                return _once(request, key, mark, secrets, lambda: view(request, *args, **kwargs))

        wrapped.idempotent = True  # type: ignore[attr-defined]
        return wrapped

    return decorate


def remove_old_replies() -> int:
    """Forget answers that are older than a day."""
    return IdempotentReply.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _once(request: Request, key: str, mark: str, secrets: tuple[str, ...], work: Callable[[], Any]) -> Any:
    route = request.path[:300]
    user_id = int(request.user.pk or 0)
    claimed = _claim(user_id, route, key, mark)
    if claimed is None:
        found = IdempotentReply.objects.get(user_id=user_id, route=route, key=key)
        if found.fingerprint != mark:
            raise KeyReused(
                "This key was used for another request.", hint="Make a new key for a new request."
            )
        return Response(found.document, status=found.status, headers={REPLAYED: "true"})
    answer = work()
    kept = answer.data
    if secrets and isinstance(kept, dict):
        kept = {name: "" if name in secrets else value for name, value in kept.items()}
    document = json.loads(json.dumps(kept, cls=DjangoJSONEncoder))
    IdempotentReply.objects.filter(pk=claimed).update(status=answer.status_code, document=document)
    return answer


def _claim(user_id: int, route: str, key: str, mark: str) -> int | None:
    """The id of a fresh row, or None where the key was answered before."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            cursor.execute(CLAIM, [user_id, route, key, mark, KEPT.total_seconds()])
            found = cursor.fetchone()
            cursor.execute("SET LOCAL lock_timeout = 0")
    except OperationalError as error:
        raise Conflict(
            "A request with this key is still at work.", code="idempotency_in_progress", retry_after=5
        ) from error
    return found[0] if found else None


def fingerprint(request: Request) -> str:
    """SHA-256 of what the body says: fields in any order, files by their bytes."""
    data, digest = request.data, hashlib.sha256()
    if not isinstance(data, QueryDict):
        return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
    for name in sorted(data):
        for value in data.getlist(name):
            digest.update(f"{name}\0".encode())
            if isinstance(value, UploadedFile):
                digest.update(f"{value.name}\0{value.size}\0".encode())
                for piece in value.chunks():
                    digest.update(piece)
                value.seek(0)
            else:
                digest.update(str(value).encode())
    return digest.hexdigest()
