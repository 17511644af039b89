"""Rounds with several processes about: one at a time, and a failure is seen and served around."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from annotator.learning.models import LearningSettings, Round
from tests.loop.application import Application
from tests.loop.players import World, make_person, make_world, until


@pytest.fixture
def world(app: Application) -> World:
    return make_world(app, items=60)


def test_of_many_who_start_a_round_at_once_one_does(world: World) -> None:
    before = world.rounds()[0]
    url = f"{world.app.url}/api/v1/projects/{world.project_id}/rounds/"

    def start(_: int) -> int:
        # A connection each, so that both web processes are asked.
        return httpx.post(url, headers=dict(world.owner.client.headers), timeout=60).status_code

    with world.app.held("freeze", "before") as held, ThreadPoolExecutor(8) as many:
        statuses = sorted(many.map(start, range(8)))
        held.wait()
        active = Round.objects.filter(project_id=world.project_id, state=Round.State.ACTIVE)
        assert [round_.number for round_ in active] == [before.number + 1]
    assert statuses == [202] + [409] * 7
    world.wait_for_round(after=before.number)
    assert [round_.number for round_ in world.rounds()][:2] == [before.number + 1, before.number]


def test_answers_that_arrive_together_begin_one_round_with_all_that_were_stored_by_then(world: World) -> None:
    before = world.rounds()[0]
    people = [world.ann, world.ben, *(make_person(world.app, world.project_id) for _ in range(4))]
    with world.app.held("freeze", "before") as held:
        with ThreadPoolExecutor(len(people)) as many:
            sent = [
                answer for answers in many.map(lambda person: person.label(4), people) for answer in answers
            ]
        held.wait()
        assert world.rounds()[0].number == before.number + 1
    after = world.wait_for_round(after=before.number)
    assert (after.number, after.n_labels, after.trigger) == (before.number + 1, len(sent), "labels")
    world.check_books(sent)


def test_a_scoring_run_that_fails_is_seen_and_the_old_ranking_goes_on_being_served(world: World) -> None:
    sent = world.ann.label(12)
    good = world.wait_for_round(after=world.rounds()[1].number, labels=12)
    queue = [(entry.item_id, entry.served) for entry in world.queue()]
    chosen = LearningSettings.objects.filter(project_id=world.project_id)
    chosen.update(strategy="removed_plug_in")

    world.owner.call("POST", "rounds/", expect=202)
    until(lambda: world.rounds()[0].state == Round.State.FAILED)

    health = world.owner.call("GET", "health/")
    assert health["served_round"] == good.number
    assert health["level"] == "bad"
    assert health["last_failure"]["step"] == Round.Step.RANK
    assert "removed_plug_in" in health["last_failure"]["what"]
    assert health["last_failure"]["served"] == "the previous ranking"
    assert [(entry.item_id, entry.served) for entry in world.queue()] == queue
    lease = world.ben.hold(1)[0]
    assert lease["served"]["round"] == good.number
    sent.append(world.ben.answer(lease))

    chosen.update(strategy="margin")
    world.owner.call("POST", "rounds/", expect=202)
    healed = world.wait_for_round(after=good.number + 1)
    health = world.owner.call("GET", "health/")
    assert (health["served_round"], health["last_failure"]) == (healed.number, None)
    world.check_books(sent)
