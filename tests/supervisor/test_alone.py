"""One process of the application by itself, as containers run it: the very commands, against the test servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from annotator import env
from annotator.supervisor import alone, lock, probe, services
from annotator.supervisor.errors import StartError
from tests.supervisor.helpers import eventually

KEY = "a key of more than thirty-two characters, for tests"
SAFE_DATABASE = "postgresql://annotator:f3a9c0d17be24c55@db/annotator"
SAFE_REDIS = "redis://:9b1e77c2d4aa4f06@redis:6379/0"


def free_port() -> int:
    with socket.socket() as probe_:
        probe_.bind(("127.0.0.1", 0))
        return int(probe_.getsockname()[1])


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="alone-", ignore_cleanup_errors=True) as name:
        yield Path(name) / "var"


def environment(home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in env.BY_NAME}
    return clean | {"ANNOTATOR_HOME": str(home), "ANNOTATOR_DEMO": "off", "SECRET_KEY": KEY} | more


@contextmanager
def started(name: str, home: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "annotator.supervisor", "--only", name]
    with subprocess.Popen(
        command, env=environment(home, **more), cwd=env.ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("name", sorted(services.ALONE))
def test_alone_runs_the_command_of_the_supervisor(name: str) -> None:
    service = services.ALONE[name](services.plan_from_environment())
    assert service.name == name
    assert service.program is not None
    assert service.program.command[0] == sys.executable
    assert service.program.environment["DJANGO_SETTINGS_MODULE"] == "annotator.settings"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["DATABASE_URL is not set", "REDIS_URL is not set"]),
        ({"DATABASE_URL": SAFE_DATABASE, "REDIS_URL": SAFE_REDIS, "SECRET_KEY": ""}, ["SECRET_KEY is not set"]),
        ({"DATABASE_URL": "postgresql://annotator:annotator@db/a", "REDIS_URL": SAFE_REDIS}, ["The password in DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://annotator@db/a", "REDIS_URL": SAFE_REDIS}, ["The password in DATABASE_URL"]),
        ({"DATABASE_URL": SAFE_DATABASE, "REDIS_URL": "redis://redis:6379/0"}, ["The password in REDIS_URL"]),
    ],
)  # fmt: skip
def test_without_secrets_or_with_common_ones_nothing_starts(
    home: Path, variables: dict[str, str], words: list[str]
) -> None:
    with started("web", home, **variables) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = output.strip().splitlines()
    assert [any(line.startswith(word) for line in lines) for word in words] == [True] * len(words)
    assert len(lines) == len(words)


def test_an_unknown_process_is_refused_with_the_names(home: Path) -> None:
    with started("wep", home) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "worker-periodic" in output


@pytest.mark.django_db(transaction=True)
def test_web_alone_prepares_serves_and_leaves_on_sigterm(home: Path) -> None:
    """Against this run's own PostgreSQL and Redis, over their sockets."""
    port = free_port()
    url = os.environ["DATABASE_URL"].replace(f"/{env.DATABASE_NAME}", f"/{connection.settings_dict['NAME']}")
    more = {
        "DATABASE_URL": url,
        "REDIS_URL": os.environ["REDIS_URL"],
        "ANNOTATOR_PORT": str(port),
        "ANNOTATOR_HOST": "127.0.0.1",
    }
    with started("prepare", home, **more) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert (home / "static" / "staticfiles.json").exists()
    (home / "counts").mkdir(exist_ok=True)
    (home / "counts" / "counter_1.db").write_bytes(b"of a dead process")

    with started("web", home, **more) as process:
        check = [sys.executable, "-m", "annotator.supervisor.probe", "web"]
        eventually(
            lambda: (
                subprocess.run(check, env=environment(home, **more), cwd=env.ROOT, check=False).returncode
                == 0
            ),
            seconds=90,
        )
        assert not (home / "counts" / "counter_1.db").exists()
        with pytest.raises(StartError), lock.held(home):
            pytest.fail("a restore must not begin now")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with lock.held(home):
        assert not probe.listens(port)


def test_single_processes_share_a_folder_and_a_whole_application_keeps_them_out(tmp_path: Path) -> None:
    first, second = lock.share(tmp_path), lock.share(tmp_path)
    os.close(first)
    os.close(second)
    with lock.held(tmp_path), pytest.raises(StartError):
        lock.share(tmp_path)


def test_the_probe_knows_workers_by_their_sign_of_life() -> None:
    from annotator.jobs.selectors import note_queue_served

    assert not probe.seen("nobody-serves-this")
    note_queue_served("io")
    assert probe.seen("io")
    assert probe.main(["worker-io"]) == 0
    assert probe.main(["nonsense"]) == 2


def test_the_probe_sees_who_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert probe.listens(server.getsockname()[1])
    assert not probe.listens(free_port())


def test_names_are_those_of_the_supervisor() -> None:
    assert set(alone.NAMES) - {"prepare"} == set(services.ALONE)
