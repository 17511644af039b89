"""The real application on a temporary data folder, for benchmarks that measure it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180.0  # seconds for a start or a round


def emit(benchmark: str, case: str, metric: str, value: float, unit: str, **parameters: Any) -> None:
    """One result as one line of JSON."""
    row = {"benchmark": benchmark, "case": case, "metric": metric, "value": round(value, 4), "unit": unit}
    print(json.dumps(row | parameters), flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _leave(number: int, _frame: FrameType | None) -> None:
    """As Ctrl+C does: blocks end, and with them what they started. A second signal does not break that off."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


class Application:
    """Everything `make run` starts, until the block ends, also by SIGTERM; Django in this process talks to its servers."""

    def __enter__(self) -> Application:
        self.before = signal.signal(signal.SIGTERM, _leave)
        self.home = Path(tempfile.mkdtemp(prefix="annotator-bench-"))
        self.port = free_port()
        os.environ |= {
            "ANNOTATOR_HOME": str(self.home),
            "ANNOTATOR_PORT": str(self.port),
            "ANNOTATOR_SOCKET_PORT": str(free_port()),
            "ANNOTATOR_DEMO": "off",
            "ANNOTATOR_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "annotator.settings",
        }
        self.log = (self.home / "supervisor.log").open("wb")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "annotator.supervisor"],
            cwd=ROOT,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        import django

        django.setup()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.child.poll() is not None:
                break
            if b"is ready at" in (self.home / "supervisor.log").read_bytes():
                return
            time.sleep(0.2)
        raise SystemExit("The application did not start:\n" + (self.home / "supervisor.log").read_text())

    def _stop(self) -> None:
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
        signal.signal(signal.SIGTERM, self.before)

    def get(self, path: str, token: str = "") -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": "localhost"})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def wait_for_queue(self, project_id: int) -> None:
        """Until a ranking by a trained model is being served."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.rounds_published(project_id):
                return
            time.sleep(0.1)
        raise SystemExit("No ranking was published in time.")

    def rounds_published(self, project_id: int) -> int:
        from annotator.learning.models import Round

        return Round.objects.filter(project_id=project_id, state=Round.State.PUBLISHED).count()

    @contextlib.contextmanager
    def old_snapshot(self) -> Iterator[None]:
        """A transaction that has read and stays open, as an export or a backup does."""
        import psycopg
        from django.db import connection

        parameters = connection.get_connection_params()
        names = ("dbname", "user", "password", "host", "port")
        with psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}) as other:
            other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT count(*) FROM projects_project")
            yield
