"""Short transactions in one round trip: the hot path of claims and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection

from annotator.common import sql

# The tables change faster than the planner's statistics of them: left alone it takes a window of two thousand entries for
# a dozen, and sorts all of it to find the first.
LOCK_PERSON = """
SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true),
       pg_advisory_xact_lock_shared(%(project)s::int, 0), pg_advisory_xact_lock(%(project)s::int, %(user)s::int)
"""


def run_as_person(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement under the locks of `person_lock` for `project` and `user` in `values`; returns its rows.

    Both statements travel together and are one transaction (or part of the one that is open). They are prepared once per
    connection: planning them would cost more than running them. Each sees what was committed before it began, so that
    the second one sees everything done by whoever held the locks before.
    """
    raw = sql.ready()
    with (
        connection.wrap_database_errors,
        raw.pipeline(),
        psycopg.Cursor(raw) as locks,
        psycopg.Cursor(raw) as cursor,
    ):
        locks.execute(LOCK_PERSON, values, prepare=True)
        cursor.execute(statement, values, prepare=True)
        return cursor.fetchall()


def from_json(value: Any) -> Any:
    """jsonb as the cursor hands it out: text, because Django leaves decoding to its fields."""
    return json.loads(value) if isinstance(value, str) else value
