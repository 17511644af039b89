"""A round from labels to a queue."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.jobs.models import Job
from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import ModelVersion, Round
from tests.factories import join
from tests.learning.world import (
    answer_truly,
    items_of,
    make_world,
    queue_of,
    run_round,
    settings_of,
)

pytestmark = pytest.mark.django_db


def test_the_loop_goes_from_cold_to_warm() -> None:
    project = make_world(60, learning={"cold_strategy": "random"})
    user = join(project)

    cold = run_round(project)
    assert (cold.state, cold.model, cold.strategy) == ("published", None, "random")
    assert all(entry.served["model"] is None and entry.suggestion is None for entry in queue_of(project))

    answer_truly(project, user, items_of(project)[:12])
    warm = run_round(project)
    assert warm.state == Round.State.PUBLISHED, warm.error
    assert warm.strategy == "margin"
    assert warm.model is not None
    assert warm.model.number == warm.number
    assert ModelVersion.objects.get(project=project).in_use
    entries = queue_of(project)
    assert len(entries) == 48
    assert {entry.served["round"] for entry in entries} == {warm.number}
    ranked = [entry for entry in entries if not entry.served["exploration"]]
    assert ranked
    assert all(set(entry.suggestion["classes"]) == {"cat", "dog"} for entry in ranked)


def test_one_class_keeps_the_cold_start() -> None:
    project = make_world(20, learning={"cold_strategy": "random"})
    answer_truly(project, join(project), [item for item in items_of(project) if item.row % 2 == 0][:5])
    round_ = run_round(project)
    assert (round_.state, round_.model) == ("published", None)
    assert round_.health["cold"] is True


def test_without_share_and_randomness_the_queue_is_the_ranking() -> None:
    project = make_world(80, learning={"exploration_share": 0.0})
    answer_truly(project, join(project), items_of(project)[:20])
    round_ = run_round(project)
    folder = round_folder(project.pk, round_.number)
    proba = np.asarray(load_array(folder / "proba.npy"), dtype=np.float64)
    margin = 1 - np.abs(proba[:, 0] - proba[:, 1])
    rows = [entry.item.row for entry in queue_of(project)]
    assert rows == load_array(folder / "order.npy").tolist()
    assert sorted(rows) == list(range(20, 80))
    served = margin[rows]
    assert (np.diff(served) <= 2e-3).all()
    assert served[0] == pytest.approx(margin[20:].max(), abs=2e-3)


def test_a_round_ends_with_its_job() -> None:
    project = make_world(30)
    answer_truly(project, join(project), items_of(project)[:10])
    round_ = run_round(project)
    assert round_.job is not None
    assert Job.objects.get(pk=round_.job.pk).state == Job.State.SUCCEEDED
    assert set(round_.timings) == set(Round.Step.values)
    assert weights_path(project.pk, round_.number).exists()


def test_nothing_new_makes_no_new_model() -> None:
    project = make_world(30)
    answer_truly(project, join(project), items_of(project)[:10])
    first, second = run_round(project), run_round(project)
    assert first.model == second.model
    assert ModelVersion.objects.filter(project=project).count() == 1


def test_an_empty_project_publishes_an_empty_queue() -> None:
    project = make_world(0)
    round_ = run_round(project)
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert queue_of(project) == []


def test_settings_are_written_down_with_the_round() -> None:
    project = make_world(10, learning={"batch_size": 7})
    round_ = run_round(project)
    assert round_.settings["batch_size"] == 7
    assert round_.settings["warm"]["key"] == settings_of(project).strategy
