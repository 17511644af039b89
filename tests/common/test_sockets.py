"""Live events reach members of their project, and nobody's work depends on them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser
from django.db import connections, transaction
from redis.exceptions import ConnectionError as RedisConnectionError

from annotator.common import events
from annotator.common.events import project_group, send_event
from annotator.projects.models import Project, Role
from annotator.workspace.routing import websocket_urlpatterns
from tests.factories import join, make_project, make_user

READY, END = {"type": "ready"}, {"type": "end"}


def talk(
    user: Any, project_id: int, *, send: tuple[tuple[int, dict[str, Any]], ...] = ()
) -> tuple[int | None, list[dict[str, Any]]]:
    """Open a socket as `user` and let `send` happen: events of projects. The close code, if any, and what was heard."""

    async def conversation() -> tuple[int | None, list[dict[str, Any]]]:
        scope = {"type": "websocket", "path": f"/ws/projects/{project_id}/", "user": user}
        socket = ApplicationCommunicator(URLRouter(websocket_urlpatterns), scope)
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output(timeout=20))["type"] == "websocket.accept"
        try:
            if not send:
                return (await socket.receive_output(timeout=20))["code"], []
            return None, await listen(socket)
        finally:
            await socket.send_input({"type": "websocket.disconnect", "code": 1000})
            await socket.wait(timeout=20)
            await get_channel_layer().close_pools()
            await sync_to_async(connections.close_all)()

    async def listen(socket: ApplicationCommunicator) -> list[dict[str, Any]]:
        layer = get_channel_layer()

        async def tell(project: int, event: dict[str, Any]) -> None:
            await layer.group_send(project_group(project), {"type": "live.event", "event": event})

        # Told until it is heard: from then on the socket is in its group. The last one heard marks the end.
        await tell(project_id, READY)
        while await socket.receive_nothing(timeout=0.1):
            await tell(project_id, READY)
        for target, event in send:
            await tell(target, event)
        await tell(project_id, END)
        heard: list[dict[str, Any]] = []
        while END not in heard:
            heard.append(json.loads((await socket.receive_output(timeout=20))["text"]))
        return [event for event in heard if event not in (READY, END)]

    return asyncio.run(conversation())


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project()


def test_strangers_are_told_to_sign_in(project: Project) -> None:
    assert talk(AnonymousUser(), project.pk)[0] == 4401


def test_a_project_one_is_no_member_of_does_not_exist(project: Project) -> None:
    assert talk(make_user(), project.pk)[0] == 4404
    assert talk(project.created_by, 10**6)[0] == 4404


def test_a_deleted_project_falls_silent(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(deleted_at=project.created_at)
    assert talk(project.created_by, project.pk)[0] == 4404


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.VIEWER])
def test_members_hear_their_project_and_no_other(project: Project, role: str) -> None:
    other = make_project(name="Elsewhere")
    here, there = {"type": "job", "id": 7}, {"type": "job", "id": 8}
    _, heard = talk(join(project, role), project.pk, send=((other.pk, there), (project.pk, here)))
    assert heard == [here]


def test_an_event_waits_for_the_transaction(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "_send", lambda project_id, event: sent.append(event))
    with transaction.atomic():
        send_event(project.pk, "ranking", round=3)
        assert sent == []
    assert sent == [{"type": "ranking", "round": 3}]


def test_what_was_rolled_back_is_not_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(events, "_send", lambda *arguments: sent.append(arguments))
    with transaction.atomic():
        send_event(project.pk, "ranking")
        transaction.set_rollback(True)
    assert sent == []


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), OSError("gone")])
def test_a_lost_redis_breaks_no_request(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    class Broken:
        async def group_send(self, group: str, message: Any) -> None:
            raise error

    monkeypatch.setattr(events, "get_channel_layer", Broken)
    send_event(project.pk, "ranking")
    assert "ranking was not sent" in caplog.text


def test_what_happens_after_the_transaction_cannot_undo_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong:
        async def group_send(self, group: str, message: Any) -> None:
            raise TypeError("a slip of the pen")

    monkeypatch.setattr(events, "get_channel_layer", Wrong)
    send_event(project.pk, "ranking")
    assert "a slip of the pen" in caplog.text


def test_groups_of_projects_are_apart() -> None:
    assert len({project_group(n) for n in range(100)}) == 100
