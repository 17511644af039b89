"""The whole application as `make run` starts it: real servers, real workers, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from annotator import env
from tests.supervisor.helpers import eventually, gone

pytestmark = pytest.mark.slow
READY = re.compile(r"Annotator is ready at (http://127\.0\.0\.1:\d+)")
SERVICES = 8  # postgres, redis, web, sockets, three workers, beat


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A short path outside the run's own data folder; what was seeded stays out of the tests' way."""
    with tempfile.TemporaryDirectory(prefix="app-", ignore_cleanup_errors=True) as name:
        yield Path(name) / "var"


@contextmanager
def application(home: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    port, socket_port = free_ports()
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in env.BY_NAME and name != "DJANGO_SETTINGS_MODULE"
    }
    environment = clean | {
        "ANNOTATOR_HOME": str(home),
        "ANNOTATOR_PORT": str(port),
        "ANNOTATOR_SOCKET_PORT": str(socket_port),
        "ANNOTATOR_DEMO": "off",
        "ANNOTATOR_POSTGRES_MB": "64",
        **variables,
    }
    command = [sys.executable, "-m", "annotator.supervisor"]
    with subprocess.Popen(
        command,
        env=environment,
        cwd=env.ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def address_when_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := READY.search(line):
            return found[1]
    pytest.fail("".join(seen))


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def named(process: subprocess.Popen[str], word: str) -> psutil.Process | None:
    """The direct child with a word in its command, if it runs at present."""
    for child in psutil.Process(process.pid).children():
        try:
            if any(word in part for part in child.cmdline()):
                return child
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None


def replaced(process: subprocess.Popen[str], word: str, earlier: psutil.Process) -> bool:
    present = named(process, word)
    return present is not None and present.pid != earlier.pid


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_it_serves_refuses_a_second_copy_heals_and_stops_on_ctrl_c(home: Path) -> None:
    with application(home) as process:
        address = address_when_ready(process)
        assert healthy(address)
        assert len(psutil.Process(process.pid).children()) == SERVICES

        with application(home) as second:
            output, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"already runs on {home} (process {process.pid})" in output

        web = named(process, "gunicorn")
        assert web is not None
        offspring = web.children()
        web.kill()
        eventually(lambda: replaced(process, "gunicorn", web) and healthy(address))
        assert all(gone(child.pid) for child in offspring)

        everyone = family(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(gone(child.pid) for child in everyone)


def test_a_killed_worker_takes_its_pool_with_it_and_comes_back(home: Path) -> None:
    with application(home) as process:
        address_when_ready(process)
        worker = named(process, "gpu@%h")
        assert worker is not None
        eventually(worker.children)
        pool = worker.children()
        worker.kill()
        eventually(lambda: all(gone(child.pid) for child in pool))
        eventually(lambda: replaced(process, "gpu@%h", worker))


def test_nothing_lives_on_after_the_supervisor_is_killed_and_the_next_start_works(home: Path) -> None:
    with application(home) as process:
        address_when_ready(process)
        everyone = family(process)
        assert len(everyone) > SERVICES
        process.kill()
        eventually(lambda: all(gone(child.pid) for child in everyone))
    with application(home) as process:
        assert healthy(address_when_ready(process))


def test_nobody_else_can_enter_the_data_folder(home: Path) -> None:
    with application(home) as process:
        address_when_ready(process)
    assert stat.S_IMODE(home.stat().st_mode) & stat.S_IRWXO == 0
    for name in ("secret_key", "supervisor.lock", "logs/web.log"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_a_port_in_use_is_told_in_words(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with application(home, ANNOTATOR_PORT=str(port)) as process:
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in output
    assert "ANNOTATOR_PORT" in output
    assert "Traceback" not in output


def test_a_wrong_environment_is_told_in_words(home: Path) -> None:
    with application(home, ANNOTATOR_WEB_THREADS="many", DEBUG="perhaps") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert [line.split("=")[0] for line in output.splitlines()] == ["DEBUG", "ANNOTATOR_WEB_THREADS"]


def test_a_misspelt_setting_is_pointed_out(home: Path) -> None:
    with application(home, ANNOTATOR_PROT="9000", ANNOTATOR_PORT="0") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    with application(home, ANNOTATOR_PROT="9000", ANNOTATOR_HOST="203.0.113.7") as process:
        output, _ = process.communicate(timeout=60)
    assert output.startswith("ANNOTATOR_PROT is set but means nothing here")
    assert "Cannot listen on 203.0.113.7" in output
