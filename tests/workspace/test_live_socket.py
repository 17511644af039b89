from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser

from annotator.common.events import send_event
from annotator.projects.models import Project, Role
from annotator.workspace.routing import websocket_urlpatterns
from tests.factories import join, make_project, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def socket(project: Project, user: Any) -> ApplicationCommunicator:
    scope = {"type": "websocket", "path": f"/ws/projects/{project.pk}/", "user": user}
    return ApplicationCommunicator(URLRouter(websocket_urlpatterns), scope)


@pytest.mark.parametrize("role", list(Role))
def test_members_hear_what_happens_in_their_project_only(role: str) -> None:
    project, other = make_project(), make_project()
    user = join(project, role)

    @async_to_sync
    async def listen() -> Any:
        page = socket(project, user)
        await page.send_input({"type": "websocket.connect"})
        assert (await page.receive_output(timeout=10))["type"] == "websocket.accept"
        await sync_to_async(send_event)(other.pk, "job", id=1)
        await sync_to_async(send_event)(project.pk, "job", id=2)
        message = await page.receive_output(timeout=10)
        await page.send_input({"type": "websocket.disconnect", "code": 1000})
        await page.wait(timeout=15)
        return json.loads(message["text"])

    assert listen() == {"type": "job", "id": 2}


def test_quiet_sockets_are_not_torn_down_by_the_time_limit_of_the_redis_client() -> None:
    layer = get_channel_layer()
    assert layer.hosts[0]["socket_timeout"] > 2 * layer.brpop_timeout


@pytest.mark.parametrize(("signed_in", "code"), [(False, 4401), (True, 4404)])
def test_strangers_are_told_why_and_hear_nothing(signed_in: bool, code: int, settings: LazySettings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    project = make_project()
    user = make_user() if signed_in else AnonymousUser()

    @async_to_sync
    async def listen() -> Any:
        page = socket(project, user)
        await page.send_input({"type": "websocket.connect"})
        assert (await page.receive_output(timeout=10))["type"] == "websocket.accept"
        message = await page.receive_output(timeout=10)
        await page.send_input({"type": "websocket.disconnect", "code": code})
        await page.wait(timeout=15)
        return message

    closing = listen()
    assert (closing["type"], closing["code"]) == ("websocket.close", code)
