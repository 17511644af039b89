"""A Celery application with one task that never ends and listens to nobody, as a long training does."""

from __future__ import annotations

import os
import time

from celery import Celery
from redis import Redis

app = Celery("busy", broker=os.environ["BUSY_BROKER"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(name="busy.train")
def train(key: str) -> None:
    Redis.from_url(os.environ["BUSY_CACHE"]).set(key, os.getpid(), ex=60)
    while True:
        time.monotonic()
