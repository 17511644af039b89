"""One application for all loop tests; the test's own Django reads that application's database and folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from annotator import env
from tests.loop.application import Application


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the application is a test of the loop."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "app" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.loop)


@pytest.fixture(scope="session")
def application() -> Iterator[Application]:
    with (
        tempfile.TemporaryDirectory(prefix="loop-", ignore_cleanup_errors=True) as folder,
        Application(Path(folder) / "var").running() as running,
    ):
        yield running


@pytest.fixture(scope="module")
def app(application: Application, django_db_blocker: DjangoDbBlocker) -> Iterator[Application]:
    """The application, with this process's models on its database."""
    config = connections.settings["default"]
    kept = dict(config)
    connections["default"].close()
    config.update(env.database_config(env.embedded_urls(application.home)["database"], process="command"))
    with django_db_blocker.unblock():
        yield application
        connections["default"].close()
    config.clear()
    config.update(kept)


@pytest.fixture(autouse=True)
def files(application: Application, settings: Any) -> None:
    settings.HOME = application.home
    settings.MEDIA_ROOT = application.home / "media"
