"""SIGKILL of the worker, at the beginning and at the end of each step of a round: nothing is lost, nothing doubled."""

from __future__ import annotations

import pytest

from annotator.jobs.models import Job
from annotator.learning.models import ModelVersion, Round
from tests.loop.application import Application
from tests.loop.players import World, make_world, name_of, until

EVERY = 4  # labels between rounds


class Story:
    """A project that goes through all the kills, and every answer sent so far."""

    def __init__(self, world: World) -> None:
        self.world, self.sent = world, list[str]()


@pytest.fixture(scope="module")
def story(app: Application) -> Story:
    """With a model from the start: while only one class was answered there is nothing to train."""
    story = Story(make_world(app, retrain_labels=1000))
    world, topics = story.world, set()
    while len(topics) < 2:
        lease = world.ann.hold(1)[0]
        topics.add(name_of(lease).split("-")[0])
        story.sent.append(world.ann.answer(lease))
        if len(topics) == 1:
            assert not ModelVersion.objects.filter(project_id=world.project_id).exists()
    # New settings ask for a new ranking, which knows these answers.
    world.owner.call("PATCH", "learning/", {"retrain_labels": EVERY})
    world.until(lambda: ModelVersion.objects.filter(project_id=world.project_id, in_use=True).exists())
    world.until(lambda: not Job.objects.filter(project_id=world.project_id).active().exists())
    return story


@pytest.mark.parametrize("step", Round.Step.values)
def test_a_round_whose_worker_is_killed_twice_in_a_step_ends_as_if_nothing_had_happened(
    story: Story, step: str
) -> None:
    world, app = story.world, story.world.app
    before = world.rounds()[0]
    kept = world.ben.hold(2)
    with app.held(step, "after") as leaving:
        with app.held(step, "before") as entering:
            story.sent += world.label_until_round(world.ann)
            entering.wait()
            app.kill_pool("gpu@%h")
        # Nobody is kept waiting by a dead worker.
        story.sent.append(world.ben.answer(kept[0]))
        leaving.wait()
        app.kill("gpu@%h")
    after = world.wait_for_round(after=before.number)

    assert [round_.number for round_ in world.rounds()][:2] == [before.number + 1, before.number]
    assert after.number == before.number + 1
    assert not after.error
    until(lambda: Job.objects.get(pk=after.job_id).state == Job.State.SUCCEEDED)
    assert Job.objects.get(pk=after.job_id).attempts == 3
    assert len(story.sent) - 1 <= after.n_labels <= len(story.sent)
    assert after.model is not None, after.health
    models = ModelVersion.objects.filter(project_id=world.project_id)
    assert models.filter(number=after.number).count() == 1
    assert list(models.filter(in_use=True).values_list("number", flat=True)) == [after.number]
    assert after.model.n_labels == after.n_labels
    assert {entry.served["round"] for entry in world.queue()} == {after.number}
    assert [lease["token"] for lease in world.ben.hold(1)] == [kept[1]["token"]]
    world.check_books(story.sent)
