"""Keeps a set of children running: reads their output, restarts the fallen, stops all in order."""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from annotator.supervisor import children, leftovers
from annotator.supervisor.errors import StartError
from annotator.supervisor.logs import APPLICATION_ERROR, Log, say

FIRST_DELAY, LONGEST_DELAY, HEALTHY_AFTER = 0.5, 30.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a child runs: a command line, its environment, how far it steps back for others."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    nice: int = 0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A child to keep running: `start` gets the file descriptor for its output.

    Services of a higher stage are stopped first, those of one stage together.
    """

    name: str
    start: Callable[[int], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 10.0
    stage: int = 1
    errors: re.Pattern[str] = APPLICATION_ERROR
    program: Program | None = None


@dataclass(kw_only=True)
class Running:
    """A service with its present process; `due` is when a fallen one is started again."""

    service: Service
    log: Log
    child: subprocess.Popen[bytes]
    started: float
    delay: float = FIRST_DELAY
    due: float | None = field(default=None)


class Supervisor:
    """Runs services until told to stop. Use from the main thread: it owns the process's signals."""

    def __init__(self, home: Path, *, show: Callable[[str], None] = say) -> None:
        self.home, self.show = home, show
        self.running: list[Running] = []
        self.stop_requests = 0
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._logs = home / "logs"
        self._logs.mkdir(mode=0o700, exist_ok=True)

    def __enter__(self) -> Supervisor:
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end.fileno(), False)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wake_in.fileno(), warn_on_full_buffer=False)
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._request_stop)
        handlers[signal.SIGCHLD] = lambda *_: None  # only to wake the loop
        self._earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        signal.set_wakeup_fd(-1)
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def add(self, service: Service) -> Running:
        """Start a service and watch it from now on."""
        log = Log(service.name, self._logs / f"{service.name}.log", errors=service.errors, show=self.show)
        running = Running(service=service, log=log, child=self._start(service, log), started=time.monotonic())
        self.running.append(running)
        self._note()
        return running

    def run_once(self, name: str, command: Sequence[str], *, env: dict[str, str], cwd: Path) -> None:
        """Run a command to its end; raises StartError with its last lines when it fails."""
        log = Log(name, self._logs / f"{name}.log", errors=APPLICATION_ERROR, show=self.show)
        log.quiet = True  # a failure ends with its last lines
        service = Service(name=name, start=lambda out: children.spawn(command, output=out, env=env, cwd=cwd))
        child = self._start(service, log)
        try:
            while child.poll() is None:
                self._turn(watch=False)
                self._refuse_when_stopping()
            self._drain()
        finally:
            children.stop(child)
            log.close()
        if child.returncode:
            last = "\n".join(f"  {line}" for line in log.last)
            raise StartError(f"'{name}' failed with status {child.returncode}:\n{last}")

    def wait(self, running: Running, ready: Callable[[], bool], *, patience: float) -> None:
        """Return when `ready()`; raises StartError when the service falls or takes longer than `patience` seconds."""
        deadline = time.monotonic() + patience
        while not ready():
            self._turn(watch=False, longest=0.05)
            self._refuse_when_stopping()
            name = running.service.name
            if running.child.poll() is not None:
                self._drain()
                last = "\n".join(f"  {line}" for line in running.log.last)
                raise StartError(
                    f"{name} left with status {running.child.returncode} while starting:\n{last}"
                )
            if time.monotonic() > deadline:
                raise StartError(
                    f"{name} was not ready within {patience:.0f} seconds: see {running.log.file}."
                )

    def run(self) -> None:
        """Watch the services until a signal asks to stop."""
        while not self.stop_requests:
            self._turn(watch=True)

    def stop_all(self) -> None:
        """Stop the services stage by stage; those that do not leave in time, or after a second request, are killed."""
        for stage in sorted({running.service.stage for running in self.running}, reverse=True):
            leaving = [running for running in self.running if running.service.stage == stage]
            for running in leaving:
                running.log.quiet = True
                if running.child.poll() is None:
                    running.child.send_signal(running.service.stop_signal)
            since = time.monotonic()
            for running in leaving:
                self._see_off(running, since + running.service.patience)
        self.running.clear()
        leftovers.note(self._noted, [])

    @property
    def _noted(self) -> Path:
        return self.home / "processes.json"

    def _start(self, service: Service, log: Log) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        try:
            child = service.start(writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._selector.register(reading, selectors.EVENT_READ, log)
        return child

    def _see_off(self, running: Running, deadline: float) -> None:
        """Wait for one to leave, reading output meanwhile: a full pipe would keep a child from leaving."""
        while running.child.poll() is None and time.monotonic() < deadline and self.stop_requests < 2:
            self._turn(watch=False, longest=0.1)
        children.kill_session(running.child)
        running.child.wait()
        self._drain()
        running.log.close()

    def _turn(self, *, watch: bool, longest: float = 1.0) -> None:
        """Wait for output, a signal or a due restart, and deal with it."""
        for key, _ in self._selector.select(longest):
            if key.data is None:
                self._wake_out.recv(4096)
            else:
                self._read(key.fd, key.data)
        if watch:
            for running in self.running:
                self._tend(running)

    def _read(self, fd: int, log: Log) -> bool:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return False
        if data:
            log.feed(data)
            return True
        self._selector.unregister(fd)
        os.close(fd)
        return False

    def _drain(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                while self._read(key.fd, key.data):
                    pass

    def _tend(self, running: Running) -> None:
        now, name = time.monotonic(), running.service.name
        if running.due is None and running.child.poll() is not None:
            children.kill_session(running.child)  # its own children must not outlive it
            self._drain()
            if now - running.started > HEALTHY_AFTER:
                running.delay = FIRST_DELAY
            running.due = now + running.delay
            self.show(
                f"[{name}] left with status {running.child.returncode}, "
                f"starting it again in {running.delay:g} s; its log is {running.log.file}"
            )
            running.delay = min(2 * running.delay, LONGEST_DELAY)
        elif running.due is not None and now >= running.due:
            try:
                running.child = self._start(running.service, running.log)
            except (StartError, OSError) as error:
                running.due = now + running.delay
                running.delay = min(2 * running.delay, LONGEST_DELAY)
                self.show(f"[{name}] cannot be started: {error}")
                return
            running.started, running.due = now, None
            self._note()
            self.show(f"[{name}] runs again")

    def _note(self) -> None:
        leftovers.note(self._noted, [running.child.pid for running in self.running])

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1

    def _refuse_when_stopping(self) -> None:
        if self.stop_requests:
            raise KeyboardInterrupt
