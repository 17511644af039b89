"""The processes that make up the application, each as a command and its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator import env
from annotator.supervisor import children, postgres, redis
from annotator.supervisor.logs import STORE_ERROR
from annotator.supervisor.processes import Program, Service

CELERY = ("-m", "celery", "-A", "annotator.celery:app")
QUIET_START = ("--without-gossip", "--without-mingle", "--without-heartbeat")


# Loaded once, before the first job, and shared with every process forked later: torch takes seconds to import.
TRAINING = "annotator.learning.rounds,annotator.learning.encode"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where the application runs and what it is reached by."""

    home: Path
    host: str
    port: int
    socket_port: int
    web_processes: int
    web_threads: int
    train_threads: int
    postgres_mb: int
    log_level: str
    own_postgres: bool
    own_redis: bool

    @property
    def sockets(self) -> Path:
        return env.socket_folder(self.home)

    @property
    def address(self) -> str:
        """What a person types into a browser on this machine."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{anywhere.get(self.host, host)}:{self.port}"


def plan_from_environment() -> Plan:
    """The plan that the environment asks for; raises SettingError."""
    return Plan(
        home=env.path("ANNOTATOR_HOME"),
        host=env.text("ANNOTATOR_HOST"),
        port=env.integer("ANNOTATOR_PORT"),
        socket_port=env.integer("ANNOTATOR_SOCKET_PORT"),
        web_processes=env.integer("ANNOTATOR_WEB_PROCESSES"),
        web_threads=env.integer("ANNOTATOR_WEB_THREADS"),
        train_threads=env.integer("ANNOTATOR_TRAIN_THREADS"),
        postgres_mb=env.integer("ANNOTATOR_POSTGRES_MB"),
        log_level=env.text("ANNOTATOR_LOG_LEVEL"),
        own_postgres=not env.text("DATABASE_URL"),
        own_redis=not env.text("REDIS_URL"),
    )


def own_postgres(plan: Plan) -> Service:
    return Service(
        name="postgres",
        start=lambda out: postgres.start(
            plan.home / "postgres", plan.sockets, shared_buffers_mb=plan.postgres_mb, output=out
        ),
        stop_signal=postgres.STOP_SIGNAL,
        patience=60,
        stage=0,
        errors=STORE_ERROR,
    )


def own_redis(plan: Plan) -> Service:
    return Service(
        name="redis",
        start=lambda out: redis.start(plan.home / "redis", plan.sockets, output=out),
        patience=30,
        stage=0,
        errors=STORE_ERROR,
    )


def web(plan: Plan) -> Service:
    """HTTP: WSGI in a few processes with threads; the code is loaded once and shared."""
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    command = [
        *("-m", "gunicorn", "annotator.wsgi:application", "--bind", f"{host}:{plan.port}"),
        *("--worker-class", "gthread", "--workers", str(plan.web_processes)),
        *("--threads", str(plan.web_threads), "--keep-alive", "60", "--preload"),
        *("--timeout", "120", "--graceful-timeout", "8", "--log-level", plan.log_level.lower()),
        "--no-control-socket",
    ]
    # The processes keep their counts in files there, which /metrics adds up.
    return _python(
        "web", command, plan, process="web", extra={"PROMETHEUS_MULTIPROC_DIR": str(counts_folder(plan.home))}
    )


def counts_folder(home: Path) -> Path:
    """Where web processes count requests; emptied before they start, since counts of dead processes stay."""
    return home / "counts"


def clear_counts(home: Path) -> None:
    folder = counts_folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def sockets(plan: Plan) -> Service:
    """Live events: one small ASGI process."""
    command = [
        *("-m", "uvicorn", "annotator.asgi:application", "--host", plan.host),
        *("--port", str(plan.socket_port), "--lifespan", "off", "--no-access-log"),
        *("--timeout-graceful-shutdown", "3", "--log-level", plan.log_level.lower()),
    ]
    return _python("sockets", command, plan, process="sockets")


def io_worker(plan: Plan) -> Service:
    """Imports, exports and the short periodic jobs."""
    return _worker("io", plan, threads=1, nice=5)


def gpu_worker(plan: Plan) -> Service:
    """Training and scoring, behind everything that a person waits for."""
    return _worker("gpu", plan, threads=plan.train_threads, nice=10, preload=TRAINING)


def periodic_worker(plan: Plan) -> Service:
    """What the clock asks for: never behind a long job. Short tasks, so one process does them itself."""
    return _worker("periodic", plan, threads=1, nice=0, pool="solo")


def beat(plan: Plan) -> Service:
    """The clock that queues periodic jobs."""
    command = [
        *(*CELERY, "beat", "--schedule", str(plan.home / "beat-schedule"), "--pidfile", ""),
        *("--loglevel", plan.log_level),
    ]
    return _python("beat", command, plan, process="worker")


# What can run by itself where each process has a machine or container of its own.
ALONE = {
    "web": web,
    "sockets": sockets,
    "worker-io": io_worker,
    "worker-gpu": gpu_worker,
    "worker-periodic": periodic_worker,
    "beat": beat,
}


def _worker(
    queue: str, plan: Plan, *, threads: int, nice: int, preload: str = "", pool: str = "prefork"
) -> Service:
    command = [
        *(*CELERY, "worker", "--queues", queue, "--hostname", f"{queue}@%h", "--pool", pool),
        *("--concurrency", "1", "--loglevel", plan.log_level, *QUIET_START),
        *(("--include", preload) if preload else ()),
    ]
    one_thread = {
        name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    # SIGQUIT ends the running job as well: should the supervisor die, nobody waits for a long training.
    return _python(
        f"worker-{queue}",
        command,
        plan,
        process="worker",
        death_signal=signal.SIGQUIT,
        nice=nice,
        extra={**one_thread, "TOKENIZERS_PARALLELISM": "false"},
    )


def _python(
    name: str,
    command: list[str],
    plan: Plan,
    *,
    process: str,
    death_signal: signal.Signals = signal.SIGTERM,
    nice: int = 0,
    extra: Mapping[str, str] | None = None,
) -> Service:
    program = Program(
        command=(sys.executable, *command),
        environment=environment_of(plan, process=process, extra=extra),
        nice=nice,
    )

    def start(out: int) -> subprocess.Popen[bytes]:
        if process == "web":
            clear_counts(plan.home)
        return children.spawn(
            program.command,
            output=out,
            env=program.environment,
            cwd=env.ROOT,
            death_signal=death_signal,
            nice=nice,
        )

    return Service(name=name, start=start, program=program)


def environment_of(plan: Plan, *, process: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: ours, with what it is and an absolute data folder."""
    return {
        **os.environ,
        "ANNOTATOR_HOME": str(plan.home),
        "ANNOTATOR_PROCESS": process,
        "DJANGO_SETTINGS_MODULE": "annotator.settings",
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }
