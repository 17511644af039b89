"""A worker in the middle of a long job does not outlive the supervisor, nor its pool the worker."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from celery import Celery
from redis import Redis

from annotator import env
from tests.supervisor.helpers import eventually, gone, python

DRIVER = """
import signal, sys
from annotator.supervisor import children
child = children.spawn(sys.argv[1:], death_signal=signal.SIGQUIT, output=sys.stderr.fileno())
print(child.pid)
child.wait()
"""


@contextmanager
def busy_worker() -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A supervisor, its worker, and the worker's pool process that is busy with a job."""
    urls, key = env.redis_urls(os.environ["REDIS_URL"]), secrets.token_hex(8)
    variables = os.environ | {"BUSY_BROKER": urls["broker"], "BUSY_CACHE": urls["cache"]}
    celery = [*python("")[:1], "-m", "celery", "-A", "tests.supervisor.busy:app", "worker"]
    options = ["--queues", key, "--concurrency", "1", "--without-mingle", "--without-gossip"]
    with (
        subprocess.Popen(
            python(DRIVER, *celery, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=variables,
            cwd=env.ROOT,
        ) as supervisor,
        Redis.from_url(urls["cache"]) as redis,
        Celery("busy", broker=urls["broker"]) as app,
    ):
        assert supervisor.stdout is not None
        worker = int(supervisor.stdout.readline())
        app.send_task("busy.train", [key], queue=key)
        eventually(lambda: redis.get(key))
        pool = int(redis.get(key) or 0)
        try:
            yield supervisor, worker, pool
        finally:
            supervisor.kill()


@pytest.mark.slow
def test_a_busy_worker_ends_when_the_supervisor_is_killed() -> None:
    with busy_worker() as (supervisor, worker, pool):
        supervisor.kill()
        eventually(lambda: gone(worker) and gone(pool))


@pytest.mark.slow
def test_a_busy_pool_process_ends_when_its_worker_is_killed() -> None:
    with busy_worker() as (_supervisor, worker, pool):
        os.kill(worker, 9)
        eventually(lambda: gone(pool))
