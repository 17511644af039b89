"""The one socket of a page: it only listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from annotator.common.events import project_group

MayListen = Callable[[Any, int], bool]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Passes a project's live events to a signed-in member; closes with 4401/4404 otherwise.

    `may_listen(user, project_id)` is injected by the routing, so that this layer knows no projects.
    """

    def __init__(self, *, may_listen: MayListen) -> None:
        super().__init__()
        self.may_listen = may_listen
        self.group = ""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Refuse before anything listens: a consumer that ends while its layer still connects waits on it for good."""
        project_id = scope["url_route"]["kwargs"]["project_id"]
        if code := await self._refusal(scope["user"], project_id):
            await receive()
            # A code reaches the browser only from a socket that was open.
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": code})
            return
        self.group = project_group(project_id)
        await super().__call__(scope, receive, send)

    async def _refusal(self, user: Any, project_id: int) -> int:
        if not user.is_authenticated:
            return 4401
        return 0 if await database_sync_to_async(self.may_listen)(user, project_id) else 4404

    async def connect(self) -> None:
        await self.accept()
        await self.channel_layer.group_add(self.group, self.channel_name)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def live_event(self, message: dict[str, Any]) -> None:
        await self.send_json(message["event"])
