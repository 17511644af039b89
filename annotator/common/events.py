"""Live events: tiny JSON to every page of a project. They may be lost; no work depends on them."""

from __future__ import annotations

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def project_group(project_id: int) -> str:
    return f"project.{project_id}"


def send_event(project_id: int, event: str, **payload: Any) -> None:
    """Tell the project's open pages that something changed, once the transaction is committed."""
    transaction.on_commit(lambda: _send(project_id, {"type": event, **payload}), robust=True)


def _send(project_id: int, event: dict[str, Any]) -> None:
    layer = get_channel_layer()
    try:
        async_to_sync(layer.group_send)(project_group(project_id), {"type": "live.event", "event": event})
    except (RedisError, OSError) as error:
        logger.warning("Live event %s was not sent: %s", event["type"], error)
