"""Child processes that never outlive the process that started them."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
AUTOGROUP = Path("/proc/self/autogroup")
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    output: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    nice: int = 0,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that gets `death_signal` when the calling thread's process dies.

    Call from the main thread: the kernel watches the thread that started the child. The session keeps the terminal's
    Ctrl-C away from the child, which is stopped in order instead.
    """
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=env,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_die_with_parent(death_signal, nice),
        **identity(user),
    )


def identity(user: str | None) -> dict[str, Any]:
    """Arguments with which a child runs as another user, with that user's group and none of root's."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def stop(
    child: subprocess.Popen[bytes], *, first: signal.Signals = signal.SIGTERM, patience: float = 10.0
) -> int:
    """Ask a child to leave, after `patience` seconds end its whole session; its exit status."""
    if child.poll() is None:
        child.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience)
    kill_session(child)
    return child.wait()


def kill_session(child: subprocess.Popen[bytes]) -> None:
    """End whatever is left of a child and its descendants."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _die_with_parent(death_signal: signal.Signals, nice: int) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel was asked to watch
                os._exit(1)
        if nice:
            os.nice(nice)
            # Where the kernel schedules sessions as groups, niceness counts within one only, unless the group has it too.
            with suppress(OSError):
                AUTOGROUP.write_text(str(nice), encoding="ascii")

    return prepare
