"""What waits in the broker: ids of jobs, by queue."""

from __future__ import annotations

from typing import Any

from kombu.exceptions import ChannelError

from annotator.celery import app as celery_app


def messages_waiting(queue: str) -> int:
    """Messages of a queue that no worker has taken yet; raises OSError or kombu's OperationalError without a broker."""
    with celery_app.connection_for_read() as connection, connection.channel() as opened:
        channel: Any = opened
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # an empty queue does not exist
            return 0
