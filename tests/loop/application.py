"""The whole application in processes of its own, and what the tests do to it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from annotator import env
from tests.supervisor.helpers import eventually, gone

PATIENCE = 180.0  # seconds: far more than anything here takes on a quiet machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Application:
    """Started once for all tests of the loop; every test makes a project of its own."""

    home: Path
    port: int = field(default_factory=free_port)
    clients: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def holds(self) -> Path:
        return self.home / "holds"

    def log_end(self, service: str = "web") -> str:
        """The last lines that a service wrote: what went wrong in it."""
        path = self.home / "logs" / f"{service}.log"
        return path.read_text(encoding="utf-8", errors="replace")[-4000:] if path.exists() else ""

    def environment(self) -> dict[str, str]:
        inside = Path(__file__).parent / "inside"
        outer = {
            k: v for k, v in os.environ.items() if k not in env.BY_NAME and k != "DJANGO_SETTINGS_MODULE"
        }
        return outer | {
            "ANNOTATOR_HOME": str(self.home),
            "ANNOTATOR_PORT": str(self.port),
            "ANNOTATOR_SOCKET_PORT": str(free_port()),
            "ANNOTATOR_DEMO": "off",
            "ANNOTATOR_POSTGRES_MB": "64",
            "ANNOTATOR_LOG_LEVEL": "WARNING",
            "LOOP_HOLDS": str(self.holds),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(inside), os.environ.get("PYTHONPATH")])),
        }

    @contextmanager
    def running(self) -> Iterator[Application]:
        self.holds.mkdir(parents=True)
        log = self.home.parent / "application.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.loop.launcher"],
                cwd=env.ROOT,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.supervisor = psutil.Process(process.pid)
        try:
            eventually(
                lambda: process.poll() is not None or "is ready at" in log.read_text(), seconds=PATIENCE
            )
            assert process.poll() is None, log.read_text()
            yield self
        finally:
            self.clients.close()
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
            if process.poll() is None:
                process.kill()
                process.wait()

    def manage(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A `manage.py` command in a process beside the application."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=env.ROOT,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def service(self, word: str) -> psutil.Process | None:
        """The service with a word in its command, if it runs at present."""
        for child in self.supervisor.children():
            with suppress(psutil.NoSuchProcess):
                if any(word in part for part in child.cmdline()):
                    return child
        return None

    def kill(self, word: str) -> None:
        """SIGKILL to a service and all its processes, none of which can end anything in order."""
        main = self.service(word)
        assert main is not None
        doomed = [main, *main.children(recursive=True)]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        eventually(lambda: all(gone(process.pid) for process in doomed), seconds=PATIENCE)

    def kill_pool(self, word: str) -> None:
        """SIGKILL to the processes in which a worker does jobs; the worker itself lives."""
        main = self.service(word)
        assert main is not None
        for process in main.children():
            process.kill()

    @contextmanager
    def held(self, step: str, when: str) -> Iterator[Held]:
        """The next round stops before or after this step, until the block ends."""
        pipe = self.holds / f"{step}.{when}"
        os.mkfifo(pipe)
        hold = Held(pipe)
        try:
            yield hold
        finally:
            end = os.open(pipe, os.O_RDWR)  # whoever comes just now must not wait for ever
            pipe.unlink()
            os.close(end)
            hold.release()

    def healthy(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == httpx.codes.OK
        return False


@dataclass
class Held:
    """A place where the worker stops."""

    pipe: Path
    _end: int | None = None

    def reached(self) -> bool:
        """Whether the worker stands there now; from then on it stays until released or killed."""
        if self._end is None:
            try:
                self._end = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads yet
                    raise
        return self._end is not None

    def wait(self) -> None:
        eventually(self.reached, seconds=PATIENCE)

    def release(self) -> None:
        if self._end is not None:
            os.close(self._end)
            self._end = None
