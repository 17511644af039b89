"""SIGKILL of the web server between click and save: the client repeats, and the answer is stored once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from annotator import env
from annotator.labeling.models import Annotation
from tests.loop.application import Application
from tests.loop.players import World, answer_body, make_world, until

# What the request has to wait for: its save, or the question after it whether a round is due.
SAVING = "SELECT pg_advisory_xact_lock({project}, 0)"
REPLYING = "LOCK TABLE learning_learningsettings IN ACCESS EXCLUSIVE MODE"
WAITING = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s
"""


@pytest.fixture(scope="module")
def world(app: Application) -> World:
    return make_world(app, retrain_labels=1000)


@contextmanager
def database(app: Application) -> Iterator[psycopg.Connection[Any]]:
    url = env.embedded_urls(app.home)["database"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


class Click(threading.Thread):
    """Sends one answer and remembers how the connection ended."""

    def __init__(self, world: World, body: dict[str, Any]) -> None:
        super().__init__()
        self.world, self.body, self.broken = world, body, False

    def run(self) -> None:
        headers = dict(self.world.ann.client.headers)
        url = f"{self.world.app.url}/api/v1/projects/{self.world.project_id}/annotations/"
        try:
            httpx.post(url, json=self.body, headers=headers, timeout=60)
        except httpx.TransportError:
            self.broken = True


@pytest.mark.parametrize(
    ("obstacle", "query", "saved"),
    [(SAVING, "%pg_advisory_xact_lock%", False), (REPLYING, "%s.retrain_labels%", True)],
    ids=["before the save", "after the save"],
)
def test_an_answer_whose_server_dies_before_it_replies_is_stored_once_when_sent_again(
    world: World, obstacle: str, query: str, saved: bool
) -> None:
    app, answers = world.app, Annotation.objects.filter(project_id=world.project_id)
    already = {str(pk) for pk in answers.values_list("pk", flat=True)}
    lease, *_ = prefetched = world.ann.hold(3)
    body = answer_body(lease, str(uuid.uuid4()))
    click = Click(world, body)
    with database(app) as watch, database(app) as other, other.transaction():
        other.execute(obstacle.format(project=world.project_id))
        click.start()
        until(lambda: watch.execute(WAITING, [query]).fetchone())
        if saved:
            # The clock asks the same of the same table, and may be the one that waits so far.
            until(answers.filter(pk=body["id"]).exists)
        app.kill("gunicorn")
        click.join()
    assert click.broken
    until(app.healthy)
    assert answers.filter(pk=body["id"]).exists() is saved

    world.ann.answer(lease, answer_id=body["id"], expect=200 if saved else 201)
    world.ann.answer(lease, answer_id=body["id"], expect=200)

    assert answers.get(pk=body["id"]).served == lease["served"]
    assert [held["token"] for held in world.ann.hold(2)] == [held["token"] for held in prefetched[1:]]
    world.check_books(already | {body["id"]})
