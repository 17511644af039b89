"""Labels worth another look are found after a round, by every way there is."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from annotator.items.features import make_store
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling.models import Annotation
from annotator.learning import triggers
from annotator.learning.models import LearningSettings
from annotator.learning.replay import replay_round
from annotator.learning.suggest import suggest_for
from annotator.projects.models import LabelClass, LabelSchema, Project
from annotator.quality.label_errors import suspects
from annotator.quality.models import Check, Decision, QualitySettings, Report
from tests.factories import join
from tests.learning.world import DIGEST, DIM, answer, items_of, make_world, run_round, truth

pytestmark = pytest.mark.django_db


def world(wrong: tuple[int, ...] = (), count: int = 80, labelled: int = 60, **fields: object) -> Project:
    """A project in which somebody labelled most items, some of them wrongly, and a round was run."""
    project = make_world(count, **fields)
    rows = np.arange(count)
    # Far apart: which labels are wrong is then beyond doubt.
    noise = np.random.default_rng(0).normal(0, 0.2, (count, DIM)).astype(np.float32)
    make_store(project.pk, DIGEST, DIM).write(rows, noise + 2 * np.eye(DIM, dtype=np.float32)[rows % 2])
    QualitySettings.objects.create(project=project, check_share=0.2)
    person = join(project)
    for item in items_of(project)[:labelled]:
        right = truth(item)
        answer(project, person, item, ({"cat": "dog", "dog": "cat"}[right] if item.row in wrong else right))
    run_round(project)
    return project


def search(project: Project) -> dict[str, int]:
    job = Job.objects.filter(project=project, kind=triggers.CHECKS_JOB).latest("pk")
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error
    found: dict[str, int] = job.result["checks"]
    return found


def test_wrong_labels_are_found_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # How the folds fall can hide one of them behind the others.
    monkeypatch.setattr(triggers, "new_seed", lambda: 7)
    wrong = (3, 10, 21, 34)
    project = world(wrong)
    assert search(project)["suspect"] >= 4
    first = list(
        Check.objects.filter(kind="suspect").order_by("position").values_list("item__row", flat=True)
    )
    assert set(first[:4]) == set(wrong)


def test_a_project_without_a_share_for_checks_searches_nothing() -> None:
    project = world()
    Job.objects.filter(kind=triggers.CHECKS_JOB).delete()
    QualitySettings.objects.update(check_share=0.0)
    assert triggers.start_checks_if_due(project.pk) is None


def test_one_search_at_a_time_and_not_all_the_time() -> None:
    project = world()
    assert triggers.start_checks_if_due(project.pk) is None, "one waits"
    search(project)
    assert triggers.start_checks_if_due(project.pk) is None, "the last one was just now"
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert triggers.start_checks_if_due(project.pk) is not None


def test_decided_items_and_those_with_enough_labels_are_not_asked_about() -> None:
    project = world((3, 10))
    items = items_of(project)
    Decision.objects.create(project=project, item=items[3], schema=project.schema, classes=["cat"])
    QualitySettings.objects.update(max_labels=2)
    answer(project, join(project), items[10], truth(items[10]))
    search(project)
    assert not Check.objects.filter(item__row__in=(3, 10)).exists()


def test_a_weak_label_is_asked_about_before_new_items_are_and_a_strong_one_is_not() -> None:
    project = world(count=62, labelled=60)
    search(project)
    # Two new items only, the batch is larger: each labelled one weaker than the better known of them is asked about.
    relabel = Check.objects.filter(kind="relabel")
    scores = np.array(relabel.values_list("score", flat=True))
    assert np.all((scores > 0) & (scores < 1))
    assert relabel.count() < 60


def test_items_on_which_people_are_tied_are_worth_another_label() -> None:
    project = world(overlap=2)
    items = items_of(project)
    other = join(project)
    wrong = {"cat": "dog", "dog": "cat"}
    for item in items[:20]:
        answer(project, other, item, truth(item))
    tied = items[20:23]
    for item in tied:
        answer(project, other, item, wrong[truth(item)])
    run_round(project)
    Job.objects.filter(kind=triggers.CHECKS_JOB).update(created_at=timezone.now() - timedelta(minutes=5))
    triggers.start_checks_if_due(project.pk)
    search(project)
    relabel = Check.objects.filter(kind="relabel").order_by("score").values_list("item__row", flat=True)
    assert set(relabel[:3]) == {item.row for item in tied}


def test_answers_in_terms_of_later_classes_are_not_held_against_earlier_ones() -> None:
    project = world(count=62)
    schema = LabelSchema.objects.create(project=project, version=2, created_by=project.created_by)
    for n, key in enumerate(("bird", "cat", "dog")):
        LabelClass.objects.create(schema=schema, key=key, name=key.title(), order=n)
    assert search(project)["relabel"] == 0


def test_the_newest_answers_of_somebody_in_decline_are_checked() -> None:
    project = world()
    person = Annotation.objects.values_list("annotator_id", flat=True).first()
    data = {"people": [{"user": person, "drift": {"alarm": True, "p": 0.001}}], "chosen": []}
    Report.objects.create(project=project, counted_at=timezone.now(), data=data)
    found = search(project)
    assert found["drift"] > 0
    assert Check.objects.order_by("position").first().kind == "drift"  # type: ignore[union-attr]


def test_without_a_model_only_people_are_looked_at() -> None:
    project = make_world(10)
    QualitySettings.objects.create(project=project, check_share=0.2)
    triggers.start_checks_if_due(project.pk)
    assert search(project) == {"suspect": 0, "relabel": 0, "drift": 0}


def test_any_number_of_classes_works_too() -> None:
    project = make_world(80, task="multi")
    QualitySettings.objects.create(project=project, check_share=0.2)
    person = join(project)
    for item in items_of(project)[:60]:
        answer(project, person, item, truth(item))
    run_round(project)
    assert search(project)["relabel"] == 0


def test_a_new_consensus_method_and_decisions_make_a_round_due() -> None:
    project = world()
    QualitySettings.objects.update(check_share=0.0)
    assert triggers.due(project.pk) == ""
    QualitySettings.objects.update(method="dawid_skene")
    assert triggers.due(project.pk) == "changed"
    run_round(project)
    assert triggers.due(project.pk) == ""
    for item in items_of(project)[:20]:
        Decision.objects.create(project=project, item=item, schema=project.schema, classes=[truth(item)])
    assert triggers.due(project.pk) == "labels"


def test_an_overlap_for_another_share_makes_a_round_due() -> None:
    project = world()
    Project.objects.filter(pk=project.pk).update(overlap_share=0.5)
    assert triggers.due(project.pk) == "changed"


def test_the_model_can_be_asked_about_any_row() -> None:
    project = world()
    told = suggest_for(project.pk, 0)
    assert told is not None
    suggestion, reason = told
    assert sum(suggestion["classes"].values()) == pytest.approx(1.0, abs=0.01)
    assert set(reason["classes"]) == {"cat", "dog"}
    assert suggest_for(project.pk, 10**6) is None


def test_compositions_that_weigh_cost_get_seconds_and_replay_with_them() -> None:
    project = world()
    Annotation.objects.update(seconds=4.0)
    LearningSettings.objects.filter(project=project).update(composition={"options": {"cost_exponent": 1.0}})
    round_ = run_round(project)
    assert round_.state == "published", round_.error
    assert np.exp(round_.settings["cost_model"]["base"]) == pytest.approx(4.0, rel=0.3)
    Annotation.objects.update(seconds=40.0)
    assert replay_round(round_).same is True


def test_few_labels_and_one_class_hold_no_suspects() -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 1], 60)
    assert len(suspects(np.zeros(60, dtype=np.int64), proba)[0]) == 0
    assert len(suspects(np.zeros(3, dtype=np.int64), proba[:3])[0]) == 0
    assert len(suspects(np.zeros((60, 3), dtype=bool), proba)[0]) == 0


def test_wrong_labels_among_absent_classes_are_found() -> None:
    targets = np.repeat([0, 2], 30)
    proba = np.full((60, 3), 0.02)
    proba[np.arange(60), targets] = 0.96
    proba[5] = [0.01, 0.01, 0.98]
    places, scores = suspects(targets, proba)
    assert places.tolist() == [5]
    assert scores[0] < 0.05
