"""Tests run on a real PostgreSQL and a real Redis, started here once for all workers."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from subprocess import Popen
from typing import Any

import django
import pytest
from django.conf import settings
from xdist.scheduler import LoadScopeScheduling

from annotator import env
from annotator.supervisor import children, postgres, redis

DATABASES_PER_WORKER = 4
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
OWN_SERVERS: list[Popen[bytes]] = []


class LoopTogether(LoadScopeScheduling):
    """Tests of the loop share one application, so one process runs them all; any other test goes where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/loop" if nodeid.startswith("tests/loop/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoopTogether | None:
    """Not by the mark `xdist_group`: pytest 9.2 does not let xdist 3.8 pass it on."""
    return LoopTogether(config, log) if config.getoption("dist") == "load" else None


def set_environment() -> None:
    """Point the settings at this run's servers and folder; workers inherit what the first process sets."""
    if settings.configured:
        raise pytest.UsageError("Settings were loaded before the test servers: unset DJANGO_SETTINGS_MODULE.")
    if not WORKER:
        for name in [name for name in os.environ if name.startswith("ANNOTATOR_")]:
            if name not in env.READ_ELSEWHERE:
                del os.environ[name]
        os.environ["ANNOTATOR_HOME"] = tempfile.mkdtemp(prefix="annotator-test-")
        own = env.embedded_urls(Path(os.environ["ANNOTATOR_HOME"]))
        os.environ.setdefault("DATABASE_URL", own["database"])
        os.environ.setdefault("REDIS_URL", own["redis"])
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    else:
        # Workers share the servers but neither files nor Redis databases.
        home = Path(os.environ["ANNOTATOR_HOME"]) / WORKER
        home.mkdir(exist_ok=True)
        os.environ["ANNOTATOR_HOME"] = str(home)
        base = DATABASES_PER_WORKER * int(WORKER.removeprefix("gw"))
        url, _, _ = os.environ["REDIS_URL"].partition("?")
        if url.startswith("unix:"):
            os.environ["REDIS_URL"] = f"{url}?db={base}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "annotator.settings"


set_environment()
django.setup()
# A worker that inherited this would load the settings before it comes here.
del os.environ["DJANGO_SETTINGS_MODULE"]
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages find their static files uncollected.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.WHITENOISE_USE_FINDERS = True
settings.WHITENOISE_AUTOREFRESH = True


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if WORKER or OWN_SERVERS:
        return
    home = Path(os.environ["ANNOTATOR_HOME"])
    own = env.embedded_urls(home)
    sockets = env.socket_folder(home)
    if os.environ["DATABASE_URL"] == own["database"]:
        data = home / "postgres"
        postgres.prepare(data, sockets, sync=False)
        with (home / "postgres.log").open("wb") as log:
            server = postgres.start(data, sockets, shared_buffers_mb=64, durable=False, output=log)
        OWN_SERVERS.append(server)
        postgres.wait_ready(server, data)
        postgres.make_database(sockets, env.DATABASE_NAME)
    if os.environ["REDIS_URL"] == own["redis"]:
        redis.prepare(home / "redis", sockets)
        with (home / "redis.log").open("wb") as log:
            server = redis.start(home / "redis", sockets, durable=False, databases=256, output=log)
        OWN_SERVERS.append(server)
        redis.wait_ready(server, sockets)


def pytest_unconfigure(config: pytest.Config) -> None:
    if WORKER:
        return
    while OWN_SERVERS:
        children.stop(OWN_SERVERS.pop(), first=postgres.STOP_SIGNAL)
    home = Path(os.environ["ANNOTATOR_HOME"])
    shutil.rmtree(env.socket_folder(home), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def annotator_home() -> Path:
    """Data folder of this test process."""
    return Path(os.environ["ANNOTATOR_HOME"])
