"""One application per data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.supervisor.errors import StartError


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the data folder while the block runs; raises StartError when another process holds it.

    The kernel frees the lock with the process, however it ends; children do not inherit it.
    """
    file = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
            raise StartError(
                f"Annotator already runs on {home} (process {holder}): use that one, stop it, "
                "or set ANNOTATOR_HOME to another folder."
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode("ascii"))
        yield
    finally:
        os.close(file)


def share(home: Path) -> int:
    """Hold the data folder together with other single processes until this process ends, also across `exec`.

    Raises StartError while the whole application or a restore has it. Returns the open file.
    """
    file = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise StartError(
            f"{home} is in use by a whole application or a restore: wait for it, or set ANNOTATOR_HOME."
        ) from None
    os.set_inheritable(file, True)  # noqa: FBT003 - its only form
    return file
