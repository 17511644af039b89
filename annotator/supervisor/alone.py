"""`python -m annotator.supervisor --only NAME`: one process of the application, in the place of this one.

For containers and several machines, where somebody else starts, watches and restarts. The command lines are those of the
supervisor, so that they are written once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from annotator import env
from annotator.supervisor import lock, services
from annotator.supervisor.errors import StartError
from annotator.supervisor.services import Plan

PREPARE = "prepare"
NAMES = (PREPARE, *services.ALONE)
# What examples, images and tutorials are full of.
COMMON = frozenset(
    {
        "",
        "admin",
        "annotator",
        "change-me",
        "changeme",
        "default",
        "example",
        "password",
        "postgres",
        "redis",
        "secret",
        "test",
    }
)
SHORTEST_PASSWORD = 12


def replace_process(name: str, plan: Plan) -> None:
    """Become the named process; returns only by raising StartError."""
    if missing := unsafe(plan):
        raise StartError("\n".join(missing))
    plan.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock.share(plan.home)
    if name == PREPARE:
        command: Iterable[str] = (sys.executable, "-m", "annotator.supervisor.prepare")
        environment = services.environment_of(plan, process="command")
    else:
        program = services.ALONE[name](plan).program
        assert program is not None
        command, environment = program.command, dict(program.environment)
        if name == "web":
            services.clear_counts(plan.home)
        os.nice(program.nice)
    arguments = list(command)
    os.chdir(env.ROOT)
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - our own command line


def unsafe(plan: Plan) -> list[str]:
    """What must be given and is not, or is a password that everybody knows; one sentence each."""
    found = []
    if plan.own_postgres:
        found.append(
            "DATABASE_URL is not set: a single process starts no database. Set it or DATABASE_URL_FILE."
        )
    elif not _is_secret(_password(env.text("DATABASE_URL"))):
        found.append(
            f"The password in DATABASE_URL is missing, shorter than {SHORTEST_PASSWORD} characters or a common one: "
            "make one (docker/secrets.sh does)."
        )
    if plan.own_redis:
        found.append("REDIS_URL is not set: a single process starts no Redis. Set it or REDIS_URL_FILE.")
    elif env.text("REDIS_URL").startswith("redis") and not _is_secret(_password(env.text("REDIS_URL"))):
        found.append(
            f"The password in REDIS_URL is missing, shorter than {SHORTEST_PASSWORD} characters or a common one: "
            "make one (docker/secrets.sh does)."
        )
    if not env.text("SECRET_KEY"):
        found.append("SECRET_KEY is not set: the processes need one in common. Set it or SECRET_KEY_FILE.")
    return found


def _password(url: str) -> str | None:
    """The password of an address; None where none is needed, over a socket on this machine."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return unquote(parts.password or "")


def _is_secret(password: str | None) -> bool:
    return password is None or (len(password) >= SHORTEST_PASSWORD and password.lower() not in COMMON)
