"""Tokens made before there were scopes keep what they could do, and get no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from annotator.common.scopes import SCOPES

BEFORE, AFTER = [("accounts", "0001_initial")], [("accounts", "0002_token_scopes")]


@pytest.fixture
def _as_before(transactional_db: None) -> Iterator[None]:
    MigrationExecutor(connection).migrate(BEFORE)
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.usefixtures("_as_before")
def test_reading_tokens_read_and_writing_ones_may_everything() -> None:
    old = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    user = old.get_model("accounts", "User").objects.create(username="ada")
    token = old.get_model("accounts", "ApiToken")
    for scope in ("read", "write"):
        token.objects.create(user=user, name=scope, digest=scope, scope=scope)
    executor = MigrationExecutor(connection)
    executor.migrate(AFTER)
    new = executor.loader.project_state(AFTER).apps.get_model("accounts", "ApiToken")
    scopes = dict(new.objects.values_list("name", "scopes"))
    assert scopes == {"read": ["read"], "write": list(SCOPES)}
