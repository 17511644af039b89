"""Foreign code in processes of their own: how one begins, how it is ended with all it started, which imports come back."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# By this name in its environment, what the process started is found again.
RUN_MARK = "ANNOTATOR_STRATEGY_RUN"
IMPORT_SECONDS = 30.0
_LOOKS, _LOOK_SECONDS = 200, 0.01
_CAME_BACK = 61
# Whether the import succeeds is seen where it is needed; here it only has to come back.
_IMPORT = f"""
import importlib, os, sys
try:
    importlib.import_module(sys.argv[1])
except BaseException:
    pass
os._exit({_CAME_BACK})
"""


def begin(
    arguments: Sequence[str], *, cwd: Path | None = None, output: IO[bytes] | int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[bytes], str]:
    """This Python with these arguments in a session of its own, and the token by which `end` finds what it starts.

    It finds the same packages and gets no environment but what Python needs.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment[RUN_MARK] = token = uuid.uuid4().hex
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    child = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return child, token


def end(child: subprocess.Popen[bytes], token: str) -> None:
    """Ends it with its session, and then whatever left that."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for _ in range(_LOOKS):
        # While one is being ended another may have been started.
        strays = list(_marked(token))
        if not strays:
            return
        for stray in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stray, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def how_it_ended(code: int) -> str:
    return f"it was killed by signal {-code}" if code < 0 else f"it exited with status {code}"


def never_back(modules: Iterable[str], *, seconds: float = IMPORT_SECONDS) -> dict[str, str]:
    """The modules whose import does not come back, and why: it hangs, or ends the process.

    Each is imported in a process of its own, all at the same time. No modules cost nothing; in such a process, which can
    be ended, they are not asked about again.
    """
    if RUN_MARK in os.environ:
        return {}
    told = {}
    begun = {module: begin(["-P", "-c", _IMPORT, module]) for module in sorted(set(modules))}
    until = time.monotonic() + seconds
    try:
        for module, (child, _) in begun.items():
            try:
                code = child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                told[module] = f"Importing {module} took longer than {seconds:g} s, so it is left out."
            else:
                if code != _CAME_BACK:
                    told[module] = f"Importing {module} ended the process: {how_it_ended(code)}."
    finally:
        for child, token in begun.values():
            end(child, token)
    return told


def _marked(token: str) -> Iterator[int]:
    """Processes that live and have the token in their environment, as every child has unless it wiped it."""
    mark = f"{RUN_MARK}={token}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        # They come and go, and those of others are not to be read.
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
