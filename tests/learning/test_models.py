"""Models: honest measures, tuning apart from them, roll back, schema changes, replay, pruning."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from acquisition.compose import exploration_order
from annotator.common.errors import Conflict
from annotator.items.features import remove_store
from annotator.jobs.services import run_job
from annotator.learning import folders, selectors, services
from annotator.learning.classes import to_classes
from annotator.learning.exploration import random_share
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import ModelVersion, Round
from annotator.learning.replay import replay_round
from annotator.projects.models import LabelClass, LabelSchema, Project
from models_zoo import tuning
from tests.factories import join
from tests.learning.world import DIGEST, answer, answer_truly, items_of, make_world, queue_of, run_round

pytestmark = pytest.mark.django_db


def test_few_random_labels_are_not_called_an_accuracy() -> None:
    project = make_world(60)
    answer_truly(project, join(project), items_of(project)[:20])
    assert run_round(project).model.metrics == {"n": 0, "n_labels": 20, "needed": 10, "state": "few"}


def test_only_the_random_share_is_evaluated() -> None:
    """Actively chosen labels are all wrong here: they teach nonsense, but must not be measured on."""
    project = make_world(200)
    user, items = join(project), items_of(project)
    drawn = exploration_order(0, np.arange(200), 40).tolist()
    answer_truly(project, user, [items[row] for row in drawn], exploration=True)
    chosen = [item for item in items if item.row not in drawn][:10]
    answer_truly(project, user, chosen)
    metrics = run_round(project).model.metrics
    assert (metrics["state"], metrics["n"], metrics["n_labels"]) == ("measured", 40, 50)
    assert 0 <= metrics["accuracy"]["low"] <= metrics["accuracy"]["value"] <= metrics["accuracy"]["high"] <= 1
    assert metrics["accuracy"]["value"] > 0.6


def test_the_random_share_holds_every_label_up_to_the_largest_key_served() -> None:
    project = make_world(100)
    user, items = join(project), items_of(project)
    order = exploration_order(0, np.arange(100)).tolist()
    answer_truly(project, user, [items[order[4]]], exploration=True)
    answer_truly(project, user, [items[order[2]], items[order[50]]])
    rows = np.array([order[4], order[2], order[50]])
    assert random_share(project.pk, 0, rows).tolist() == [True, True, False]


def test_tuning_never_sees_the_random_share(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_world(100)
    user, items = join(project), items_of(project)
    drawn = exploration_order(0, np.arange(100), 15).tolist()
    answer_truly(project, user, [items[row] for row in drawn], exploration=True)
    answer_truly(project, user, [item for item in items if item.row not in drawn][:25])
    masks: list[Any] = []
    whole = tuning.tune_head

    def watched(*args: Any, **options: Any) -> Any:
        masks.append(options["tune_mask"])
        return whole(*args, **options)

    monkeypatch.setattr(tuning, "tune_head", watched)
    found = run_round(project).model.settings["tuning"]
    assert masks[0].sum() == 25
    assert (found["labels"], found["tuned"]) == (25, True)


def test_tuning_is_repeated_only_when_labels_grew_by_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_world(100)
    user, items = join(project), items_of(project)
    answer_truly(project, user, items[:40])
    first = run_round(project)
    answer_truly(project, user, items[40:49])
    assert run_round(project).model.settings["tuning"]["round"] == first.number
    answer_truly(project, user, items[49:50])
    third = run_round(project)
    assert third.model.settings["tuning"]["round"] == third.number


def test_roll_back_uses_the_old_model_and_only_ranks() -> None:
    project = make_world(80)
    user, items = join(project), items_of(project)
    answer_truly(project, user, items[:10])
    first = run_round(project).model
    answer_truly(project, user, items[10:30])
    second = run_round(project).model
    assert [model.number for model in ModelVersion.objects.filter(in_use=True)] == [second.number]
    round_ = services.roll_back(version=first, by=None)
    assert [model.number for model in ModelVersion.objects.filter(in_use=True)] == [first.number]
    run_job(round_.job.pk)
    round_.refresh_from_db()
    assert (round_.state, round_.model, round_.trigger) == ("published", first, "rollback")
    assert {entry.served["model"] for entry in queue_of(project)} == {first.number}
    assert ModelVersion.objects.filter(project=project).count() == 2


def test_roll_back_is_refused_where_weights_or_features_are_gone() -> None:
    project = make_world(40)
    answer_truly(project, join(project), items_of(project)[:10])
    model = run_round(project).model
    remove_store(project.pk, DIGEST)
    with pytest.raises(Conflict, match="features"):
        services.roll_back(version=model, by=None)
    weights_path(project.pk, model.number).unlink()
    with pytest.raises(Conflict, match="weights"):
        services.roll_back(version=model, by=None)
    assert not Round.objects.filter(project=project, state=Round.State.ACTIVE).exists()


def new_schema(project: Project, keys: dict[str, dict[str, Any]]) -> None:
    schema = LabelSchema.objects.create(project=project, version=project.schema.version + 1)
    for order, (key, fields) in enumerate(keys.items()):
        LabelClass.objects.create(schema=schema, key=key, name=key, order=order, **fields)


def test_a_merge_between_rounds_trains_on_the_heir() -> None:
    project = make_world(90, classes=("cat", "dog", "kitten"))
    user = join(project)
    classes = ("cat", "dog", "kitten")
    for item in items_of(project)[:30]:
        answer(project, user, item, classes[item.row % 3])
    assert run_round(project).model.class_keys == list(classes)
    new_schema(project, {"cat": {}, "dog": {}, "kitten": {"active": False, "merged_into": "cat"}})
    round_ = run_round(project)
    assert round_.model.class_keys == ["cat", "dog"]
    assert round_.n_labels == 30
    assert set(queue_of(project)[0].suggestion["classes"]) == {"cat", "dog"}


def test_an_old_model_speaks_of_todays_classes() -> None:
    proba = np.array([[0.5, 0.3, 0.2]], dtype=np.float32)
    resolve = {"cat": "cat", "dog": None, "kitten": "cat"}
    found = to_classes(proba, ("cat", "dog", "kitten"), resolve, ("cat", "bird"), multi=False)
    assert found.tolist() == [[1.0, 0.0]]
    multi = to_classes(proba, ("cat", "dog", "kitten"), resolve, ("cat", "bird"), multi=True)
    assert multi[0].tolist() == pytest.approx([0.6, 0.0])
    lost = to_classes(
        np.array([[0.0, 1.0, 0.0]], dtype=np.float32),
        ("cat", "dog", "kitten"),
        resolve,
        ("cat", "bird"),
        multi=False,
    )
    assert lost.tolist() == [[0.5, 0.5]]


def test_any_number_of_classes_per_item_goes_through_the_loop() -> None:
    project = make_world(60, task="multi")
    user, items = join(project), items_of(project)
    for item in items[:20]:
        answer(
            project, user, item, *(("cat",) if item.row % 2 == 0 else ("dog", "cat") if item.row % 3 else ())
        )
    round_ = run_round(project)
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert round_.model is not None
    assert len(queue_of(project)) == 40


def test_predictions_cover_test_items_and_ask_for_a_model() -> None:
    project = make_world(40)
    project.items.filter(row__gte=35).update(split="test")
    with pytest.raises(Conflict, match="no model"):
        selectors.predict(project, np.arange(3))
    answer_truly(project, join(project), items_of(project)[:20])
    round_ = run_round(project)
    found = selectors.predict(project, np.array([38, 0, 99]))
    assert found.model == round_.model
    assert found.proba[:2].sum(axis=1) == pytest.approx([1, 1], abs=0.01)
    assert np.isnan(found.proba[2]).all()
    page = selectors.predictions_page(project, split="test", after=-1, size=3)
    assert [result["row"] for result in page["results"]] == [35, 36, 37]
    assert page["next_after"] == 37


@pytest.mark.parametrize("randomness", [0.0, 0.5])
def test_a_round_is_replayed_to_the_same_list(randomness: float) -> None:
    project = make_world(60, learning={"randomness": randomness}, overlap=2)
    user = join(project)
    answer_truly(project, user, items_of(project)[:20])
    round_ = run_round(project)
    answer_truly(project, user, items_of(project)[20:40])
    run_round(project)
    replay = replay_round(Round.objects.get(pk=round_.pk))
    assert replay.same is True
    assert len(replay.rows) == 60
    told = StringIO()
    call_command("replay_round", project.pk, round_.number, limit=5, stdout=told, stderr=told)
    verdict, count, *rows = told.getvalue().splitlines()
    assert verdict == f"Round {round_.number}: the same list as was served."
    assert count == "60 rows; the first 5:"
    assert [int(row) for row in rows] == replay.rows[:5].tolist()


def test_a_replay_says_what_is_gone() -> None:
    project = make_world(40)
    answer_truly(project, join(project), items_of(project)[:20])
    round_ = run_round(project)
    weights_path(project.pk, round_.model.number).unlink()
    with pytest.raises(CommandError, match="weights of model"):
        call_command("replay_round", project.pk, round_.number)
    with pytest.raises(CommandError, match="no round 99"):
        call_command("replay_round", project.pk, 99)


def test_old_files_are_pruned_but_records_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("KEEP_ROUNDS", 2), ("KEEP_SCORES", 1), ("KEEP_WEIGHTS", 1)):
        monkeypatch.setattr(folders, name, value)
    project = make_world(60)
    user, items = join(project), items_of(project)
    numbers = []
    for n in range(4):
        answer_truly(project, user, items[10 * n : 10 * n + 10])
        numbers.append(run_round(project).number)
    folders.prune(project.pk)
    kept = [number for number in numbers if round_folder(project.pk, number).exists()]
    assert kept == numbers[-2:]
    assert not (round_folder(project.pk, numbers[-2]) / "proba.npy").exists()
    assert [number for number in numbers if weights_path(project.pk, number).exists()] == numbers[-1:]
    assert ModelVersion.objects.filter(project=project, weights_removed=True).count() == 3
