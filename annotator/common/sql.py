"""Plain SQL for what runs with every request."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import OperationalError, connection


def ready() -> psycopg.Connection[Any]:
    """The driver's own connection, opened if need be."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    return raw


def read(sql: str, values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query, planned once per connection; JSON comes as text.

    Where it is the first one of a request it also stands for Django's health check, which would be a round trip more: a
    connection that died while it was idle is opened anew, and the query, which changes nothing, is asked again.
    """
    state: Any = connection
    unproven = state.health_check_enabled and not state.health_check_done and not state.in_atomic_block
    try:
        rows = _read(sql, values)
    except OperationalError:
        if not unproven:
            raise
        connection.close()
        rows = _read(sql, values)
    state.health_check_done = True
    return rows


def _read(sql: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.wrap_database_errors, psycopg.Cursor(ready()) as cursor:
        rows = cursor.execute(sql, values, prepare=True).fetchall()
    if connection.queries_logged:  # where queries are counted, these count as well
        connection.queries_log.append({"sql": sql, "time": ""})
    return rows
