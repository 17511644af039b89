"""HEAD is answered wherever GET is: link checkers and proxies ask that way."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.workspace.routes import all_routes
from tests.workspace.world import make_world

pytestmark = pytest.mark.django_db


def test_every_page_that_can_be_read_answers_head_like_get() -> None:
    world = make_world()
    client = Client(raise_request_exception=False)
    client.force_login(world.owner)
    differing, read = [], 0
    for route in all_routes():
        if route.is_api or set(route.arguments) - {"project_id", *world.arguments}:
            continue
        known = {"project_id": world.project.pk, **world.arguments}
        url = reverse(route.name, kwargs={name: known[name] for name in route.arguments})
        get = client.get(url)
        if get.status_code in {405, 500}:
            continue
        list(get) if get.streaming else None
        read += 1
        head = client.head(url)
        list(head) if head.streaming else None
        if head.status_code != get.status_code:
            differing.append((route.name, get.status_code, head.status_code))
    assert differing == []
    assert read > 20
