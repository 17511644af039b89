"""Noting what happened, in the transaction in which it happened. Nothing is written where nobody asked to be told."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

# Whether anybody asked is looked up in the same statement: one probe of a small index, and never out of date.
WANTED = """EXISTS (SELECT 1 FROM hooks_webhook
        WHERE project_id = %(project)s::int AND active AND {kind} = ANY(events))"""
NOTE = f"""
INSERT INTO hooks_event (uid, project_id, kind, payload, created_at)
SELECT gen_random_uuid(), %(project)s::int, %(kind)s::text, %(payload)s::jsonb, now()
WHERE {WANTED.format(kind="%(kind)s::text")}
"""


def note(*, project_id: int, kind: str, payload: dict[str, Any]) -> None:
    """Put an event into the outbox if a webhook of the project wants it; call it where the change is made."""
    values: dict[str, Any] = {
        "project": project_id,
        "kind": kind,
        "payload": json.dumps(payload, cls=DjangoJSONEncoder),
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE, values)
