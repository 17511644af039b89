"""`python -m annotator.supervisor`: the whole application on one data folder, until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from annotator import env
from annotator.supervisor import alone, leftovers, lock, postgres, redis, services
from annotator.supervisor.errors import StartError
from annotator.supervisor.logs import say
from annotator.supervisor.processes import Supervisor
from annotator.supervisor.services import Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; 0 after an orderly stop, 1 when the application cannot start, 2 when the environment is wrong."""
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="python -m annotator.supervisor", description=__doc__)
    parser.add_argument(
        "--only",
        choices=alone.NAMES,
        help="Run one process alone, in the place of this one, as containers do.",
    )
    only: str | None = parser.parse_args(arguments).only
    if problems := env.problems():
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 2
    for name in env.unknown_variables():
        say(f"{name} is set but means nothing here: see docs/reference/settings.md for the names.")
    plan = services.plan_from_environment()
    try:
        if only is not None:
            alone.replace_process(only, plan)
        plan.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock.held(plan.home):
            leftovers.end(plan.home / "processes.json")
            check_ports(plan)
            env.secret_key(plan.home)
            with Supervisor(plan.home) as supervisor:
                serve(supervisor, plan)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except PermissionError as error:
        sys.stderr.write(
            f"{error.filename} cannot be written: start as its owner, or set ANNOTATOR_HOME to a folder of yours.\n"
        )
        return 1
    except (StartError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def serve(supervisor: Supervisor, plan: Plan) -> None:
    """Start everything in order, say where it is, and watch it until told to stop."""
    started = time.monotonic()
    start_stores(supervisor, plan)
    supervisor.run_once(
        "prepare",
        [sys.executable, "-m", "annotator.supervisor.prepare"],
        env=services.environment_of(plan, process="command"),
        cwd=env.ROOT,
    )
    web = supervisor.add(services.web(plan))
    for service in (
        services.sockets,
        services.io_worker,
        services.gpu_worker,
        services.periodic_worker,
        services.beat,
    ):
        supervisor.add(service(plan))
    supervisor.wait(web, lambda: answers(plan), patience=120)
    say(ready_line(plan, time.monotonic() - started))
    supervisor.run()
    say("Stopping.")


def start_stores(supervisor: Supervisor, plan: Plan) -> None:
    """Start the own PostgreSQL and Redis where no address was given."""
    data = plan.home / "postgres"
    if plan.own_postgres:
        postgres.prepare(data, plan.sockets)
        database = supervisor.add(services.own_postgres(plan))
    if plan.own_redis:
        redis.prepare(plan.home / "redis", plan.sockets)
        queue = supervisor.add(services.own_redis(plan))
    if plan.own_postgres:
        supervisor.wait(database, lambda: postgres.is_ready(database.child, data), patience=300)
        postgres.make_database(plan.sockets, env.DATABASE_NAME)
    if plan.own_redis:
        supervisor.wait(queue, lambda: redis.is_ready(plan.sockets), patience=300)


def check_ports(plan: Plan) -> None:
    """Refuse in words when a port cannot be had, before anything is started."""
    for port, name in ((plan.port, "ANNOTATOR_PORT"), (plan.socket_port, "ANNOTATOR_SOCKET_PORT")):
        family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((plan.host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise StartError(
                        f"Port {port} on {plan.host} is in use: stop the program that has it, or set {name} to a free port."
                    ) from None
                raise StartError(
                    f"Cannot listen on {plan.host} port {port} ({os.strerror(error.errno or 0)}): "
                    f"correct ANNOTATOR_HOST or {name}."
                ) from None
    if plan.port == plan.socket_port:
        raise StartError("ANNOTATOR_PORT and ANNOTATOR_SOCKET_PORT are the same: choose two ports.")


def answers(plan: Plan) -> bool:
    """Whether the web server says that it is well."""
    names = [name for name in env.items("ALLOWED_HOSTS") if not name.startswith(("*", "."))]
    headers = {"Host": names[0] if names else "localhost", "X-Forwarded-Proto": "https"}
    host, port = plan.address.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=2)
    try:
        connection.request("GET", "/healthz", headers=headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ready_line(plan: Plan, seconds: float) -> str:
    """The one line that a person needs: where, and with which login."""
    try:
        name, password = (plan.home / "admin.txt").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        login = ""
    else:
        login = f", sign in as {name} with password {password}"
    return f"Annotator is ready at {plan.address}{login} (started in {seconds:.1f} s; Ctrl-C stops it)"


if __name__ == "__main__":
    raise SystemExit(main())
