from __future__ import annotations

import contextlib

import pytest
from django.db import OperationalError, connection, connections, transaction
from pytest_django import DjangoAssertNumQueries

from annotator.common import sql

pytestmark = pytest.mark.django_db(transaction=True)


def cut_off() -> None:
    """What a restart of the server leaves: a connection that looks open and is not."""
    connection.ensure_connection()
    with connection.connection.__class__.connect(**connection.get_connection_params()) as other:
        pid = connection.connection.info.backend_pid
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.fixture
def request_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connections["default"], "health_check_enabled", True)
    monkeypatch.setattr(connections["default"], "health_check_done", False)


def test_it_returns_rows_and_is_prepared_once() -> None:
    values = [[sql.read("SELECT %s::int + 1", [n]) for n in range(3)]]
    assert values == [[[(1,)], [(2,)], [(3,)]]]
    prepared = sql.read("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%+ 1'", [])
    assert prepared == [(1,)]


@pytest.mark.usefixtures("request_begins")
def test_the_first_question_of_a_request_survives_a_restart_of_the_server() -> None:
    cut_off()
    assert sql.read("SELECT 1", []) == [(1,)]
    assert connection.health_check_done


@pytest.mark.usefixtures("request_begins")
def test_a_later_question_does_not_hide_that_the_connection_broke() -> None:
    sql.read("SELECT 1", [])
    cut_off()
    with pytest.raises(OperationalError):
        sql.read("SELECT 1", [])
    connection.close()


@pytest.mark.usefixtures("request_begins")
def test_within_a_transaction_nothing_is_asked_twice() -> None:
    with contextlib.suppress(OperationalError), transaction.atomic():
        cut_off()
        with pytest.raises(OperationalError):
            sql.read("SELECT 1", [])
        transaction.set_rollback(True)
    connection.close()


def test_it_is_counted_like_other_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        sql.read("SELECT 1", [])
