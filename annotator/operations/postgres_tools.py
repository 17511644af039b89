"""pg_dump, pg_restore and psql of a version that fits the server, run without a password on their command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from annotator.common.errors import AnnotatorError
from annotator.supervisor import postgres
from annotator.supervisor.errors import StartError

TOOLS = ("pg_dump", "pg_restore", "psql")
PASSED_ON = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


class ToolError(AnnotatorError):
    code, status = "database_tool", 500


def folder_for(server_major: int) -> Path:
    """Folder whose tools fit a server of this major version: the same, else the next newer one."""
    found: dict[int, Path] = {}
    for folder in _candidates():
        if all((folder / tool).exists() for tool in TOOLS):
            found.setdefault(_major(folder / "pg_dump"), folder)
    fitting = sorted(major for major in found if major >= server_major)
    if not fitting:
        known = ", ".join(map(str, sorted(found))) or "none"
        raise ToolError(
            f"The server is PostgreSQL {server_major}; the tools found here are of version {known}.",
            hint=f"Install the client programs of PostgreSQL {server_major} (postgresql-client-{server_major}).",
        )
    return found[fitting[0]]


def server_major() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10_000


def environment(given: Mapping[str, Any]) -> dict[str, str]:
    """What the tools need to reach a database of Django's settings: nothing of it shows in the list of processes."""
    options: Mapping[str, Any] = given.get("OPTIONS") or {}
    wanted = {
        "PGHOST": given.get("HOST"),
        "PGPORT": given.get("PORT"),
        "PGUSER": given.get("USER"),
        "PGPASSWORD": given.get("PASSWORD"),
        "PGDATABASE": given.get("NAME"),
        "PGCONNECT_TIMEOUT": "10",
        "LC_ALL": "C.UTF-8",
        **{variable: options.get(name) for name, variable in PASSED_ON.items()},
    }
    return {name: str(value) for name, value in wanted.items() if value}


def dump(target: Path) -> None:
    """A consistent dump of the database in pg_dump's custom format, while others read and write."""
    _run(
        [
            folder_for(server_major()) / "pg_dump",
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--file",
            target,
        ]
    )


def replace_database(source: Path, *, work: Path) -> None:
    """Put the dump in place of everything the database holds, in one transaction: all of it or nothing.

    `work` is a private folder with room for the dump as text.
    """
    tools = folder_for(server_major())
    script = work / f".{source.stem}.sql"
    try:
        # Without the schema's own entry: it stands already, emptied below.
        _run(
            [
                *(tools / "pg_restore", "--no-owner", "--no-privileges", "--schema=public"),
                *("--file", script, source),
            ]
        )
        _run(
            [
                *(tools / "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"),
                *("--output=/dev/null", "--command=SET client_min_messages = warning"),
                *("--command=DROP SCHEMA public CASCADE", "--command=CREATE SCHEMA public"),
                *("--file", script),
            ]
        )
    finally:
        script.unlink(missing_ok=True)


def migrations_in(dump: Path) -> list[str]:
    """What a dump's database had applied, as 'app.name'."""
    tool = folder_for(server_major()) / "pg_restore"
    rows = _run([tool, "--data-only", "--table=django_migrations", "--file=-", dump])
    # COPY … (id, app, name, applied): values between tabs.
    cells = (line.split("\t") for line in rows.splitlines())
    return sorted(f"{row[1]}.{row[2]}" for row in cells if len(row) == 4)


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(connection.settings_dict),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-3:]
        name = Path(str(command[0])).name
        raise ToolError(f"{name} failed with status {done.returncode}: {' '.join(lines)}")
    return done.stdout


def _candidates() -> list[Path]:
    folders = []
    try:
        folders.append(postgres.binaries())
    except StartError:
        folders = []
    if system := shutil.which("pg_dump"):
        # Debian's is a wrapper that chooses a version by itself: the folders of each version come first.
        folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        folders.append(Path(system).parent)
    return folders


def _major(tool: Path) -> int:
    done = subprocess.run([str(tool), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\b(\d+)(?:\.|\b)", done.stdout)
    return int(found[1]) if found else 0
