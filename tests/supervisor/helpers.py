"""Small things that the tests of processes share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import psutil

FOREVER = "import time\nwhile True: time.sleep(60)"


def python(code: str, *arguments: str) -> list[str]:
    """Command that runs a few lines of Python."""
    return [sys.executable, "-u", "-c", code, *arguments]


def eventually(condition: Callable[[], object], *, seconds: float = 120.0) -> None:
    """Return as soon as the condition holds; fail when it does not within a time that no machine should need."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be collected has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
