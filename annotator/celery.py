"""The Celery application: three queues, JSON only; the database is the truth about jobs, Redis only carries their ids."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging
from kombu import Exchange, Queue
from redis.exceptions import RedisError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")
os.environ.setdefault("ANNOTATOR_PROCESS", "worker")

logger = logging.getLogger(__name__)

IO, GPU, PERIODIC = "io", "gpu", "periodic"
DAY = 24 * 60 * 60

app = Celery("annotator")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_ignore_result=True,
    # Each with an exchange and key of its own: else both would get every message.
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in (IO, GPU, PERIODIC)],
    task_default_queue=IO,
    task_create_missing_queues=False,
    # Acknowledged when started: a lost job is found by its heartbeat in the database, not by delivering it twice.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    # A message that waits behind a long training must not be taken for lost.
    broker_transport_options={"visibility_timeout": DAY},
    broker_connection_retry_on_startup=True,
    # A fresh process after some jobs returns the memory that a large import or training took.
    worker_max_tasks_per_child=200,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    enable_utc=True,
    timezone="UTC",
)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Django's LOGGING holds in workers too."""


class SignOfLife(bootsteps.StartStopStep):
    """Notes by the worker's own clock that its queues are served, also while its pool is busy for long.

    In the loop of the worker's first process: a thread there could hold a lock at the moment the pool forks.
    """

    requires = ("celery.worker.components:Timer",)
    every = 15.0

    def start(self, parent: Any) -> None:
        self.note(parent)
        self.due = parent.timer.call_repeatedly(self.every, self.note, (parent,), priority=10)

    def stop(self, _parent: Any) -> None:
        if due := getattr(self, "due", None):
            due.cancel()

    def note(self, parent: Any) -> None:
        selectors = import_module("annotator.jobs.selectors")
        try:
            for queue in parent.app.amqp.queues.consume_from:
                selectors.note_queue_served(queue, host=parent.hostname, gpus=gpu_devices())
        except (OSError, RedisError) as error:
            logger.warning("The sign of life was not written: %s", error)


def gpu_devices() -> int:
    """NVIDIA devices this process may open. The driver is not asked: it must not be used before the pool forks."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


app.steps["worker"].add(SignOfLife)
