"""The database and Redis for a command: those that run, else the data folder's own, started for as long as it takes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.db import connections

from annotator import env
from annotator.supervisor import lock, services
from annotator.supervisor.__main__ import start_stores
from annotator.supervisor.errors import StartError
from annotator.supervisor.processes import Supervisor


@contextmanager
def reached(*, stopped: bool) -> Iterator[None]:
    """Servers that answer while the block runs; raises StartError.

    `stopped`: the application must not run, and cannot be started meanwhile.
    """
    home = Path(settings.HOME)
    plan = services.plan_from_environment()
    with ExitStack() as stack:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(lock.held(home))
        except StartError:
            if stopped:
                raise
            yield  # it runs, and so do its servers
            return
        if plan.own_postgres or plan.own_redis:
            supervisor = stack.enter_context(Supervisor(home, show=lambda _line: None))
            start_stores(supervisor, plan)
            # Ctrl-C interrupts the command; the servers, in sessions of their own, are stopped on the way out.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            stack.callback(connections.close_all)
        yield


def elsewhere(home: Path, arguments: list[str]) -> int:
    """Run a command of ours on another data folder, in a process whose settings are read from there; its exit status."""
    plan = replace(services.plan_from_environment(), home=home.resolve())
    command = [sys.executable, str(env.ROOT / "manage.py"), *arguments]
    done = subprocess.run(command, env=services.environment_of(plan, process="command"), check=False)
    return done.returncode
