"""The one socket of a page: it only listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from annotator.common.events import project_group

MayListen = Callable[[Any, int], bool]


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Passes a project's live events to a signed-in member; closes with 4401/4404 otherwise.

    `may_listen(user, project_id)` is injected by the routing, so that this layer knows no projects.
    """

    group: str | None = None

    def __init__(self, *, may_listen: MayListen) -> None:
        super().__init__()
        self.may_listen = may_listen

    async def connect(self) -> None:
        user, project_id = self.scope["user"], self.scope["url_route"]["kwargs"]["project_id"]
        await self.accept()
        if not user.is_authenticated:
            await self.close(code=4401)
        elif not await database_sync_to_async(self.may_listen)(user, project_id):
            await self.close(code=4404)
        else:
            self.group = project_group(project_id)
            await self.channel_layer.group_add(self.group, self.channel_name)

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def live_event(self, message: dict[str, Any]) -> None:
        await self.send_json(message["event"])
