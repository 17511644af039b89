"""Is it helping, when to stop, what the labels say: the three answers, and what they rest on."""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from acquisition.compose import exploration_order
from annotator.common.errors import Conflict
from annotator.jobs.models import Job
from annotator.jobs.services import run_job, start_job
from annotator.labeling.models import Annotation
from annotator.learning import evidence, evidence_helping, evidence_run
from annotator.learning.evidence_helping import Curves, Labels, judge, measure_curves
from annotator.learning.evidence_selectors import stopping_told
from annotator.learning.evidence_stopping import advice, labels_to_reach, stopping
from annotator.learning.models import Backtest, Evidence, LearningSettings, ModelVersion, Round
from annotator.projects.models import Project, Role
from tests.factories import choice, join
from tests.learning.world import (
    answer_truly,
    cloud,
    items_of,
    make_world,
    run_jobs,
    run_round,
    settings_of,
    truth,
)

pytestmark = pytest.mark.django_db

SIZES = np.array([20, 40, 80, 160, 320])


def curves(random: list[float], served: list[float], *, judged: int = 400, seed: int = 0) -> Curves:
    """Curves of these accuracies: each judged label is right up to a level of its own, the same for both."""
    ease = np.random.default_rng(seed).permutation(np.linspace(0, 1, judged))
    rows = [(np.array(levels)[:, None] > ease[None]).astype(float) for levels in (random, served)]
    return Curves(SIZES, np.stack([rows[0]] * 3), rows[1])


RISE = [0.5, 0.6, 0.7, 0.8, 0.85]


# Is it helping?


def test_a_served_curve_that_is_ahead_saves_labels() -> None:
    told = judge(curves(RISE, [0.6, 0.75, 0.85, 0.88, 0.9]), n_random=400, seed=1)
    assert told["state"] == "saved"
    assert 0 < told["saved"]["low"] <= told["saved"]["value"] <= told["saved"]["high"]
    # 85 % takes random 320 labels and what was served 80.
    assert told["saved"]["value"] == pytest.approx(240, abs=15)
    assert told["level"]["random"] == pytest.approx(320, abs=5)
    assert told["level"]["served"] == pytest.approx(80, abs=5)
    assert [point["x"] for point in told["random"]] == SIZES.tolist()


def test_a_served_curve_that_is_behind_has_no_gain() -> None:
    told = judge(curves([0.6, 0.75, 0.85, 0.88, 0.9], RISE), n_random=400, seed=1)
    assert told["state"] == "none"
    assert told["saved"]["high"] < 0


def test_curves_that_cross_are_not_told_apart_and_it_says_how_many_more_it_takes() -> None:
    source = np.random.default_rng(3)
    noisy = Curves(
        SIZES,
        (source.random((3, 5, 200)) < np.array(RISE)[:, None]).astype(float),
        (source.random((5, 200)) < np.array(RISE)[:, None] + 0.02).astype(float),
    )
    told = judge(noisy, n_random=200, seed=1)
    assert told["state"] == "unclear"
    assert told["saved"]["low"] <= 0 <= told["saved"]["high"]
    assert told["needed"] is None or told["needed"] > 0


def test_twice_the_evidence_needs_fewer_more() -> None:
    assert evidence_helping._needed(50.0, -50.0, 150.0, 200) == 600  # four times as many for half the width
    assert evidence_helping._needed(90.0, -10.0, 190.0, 200) < 60  # type: ignore[operator]
    assert evidence_helping._needed(1.0, -100.0, 100.0, 200) is None


def synthetic(*, count: int = 420, share: int = 240, seed: int = 0) -> Labels:
    """Labels of which the first ones served are the useless ones: copies of one class."""
    rows = np.arange(count)
    targets = rows % 2
    drawn = np.zeros(count, dtype=bool)
    drawn[np.random.default_rng(seed).permutation(count)[:share]] = True
    order = np.argsort(targets, kind="stable")
    return Labels(cloud(rows), targets, drawn, order, ("cat", "dog"), multi=False)


def test_no_model_is_judged_on_a_label_it_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, seen = synthetic(), []

    def watch(labels: Labels, train: Any, out: Any, strength: float, start: Any) -> Any:
        seen.append((set(train.tolist()), set(out.tolist())))
        assert start is None
        return np.ones(len(out)), None

    monkeypatch.setattr(evidence_helping, "_right", watch)
    found = measure_curves(labels, strength=0.3, seed=0, on_fit=lambda done, total: None)
    assert all(not train & out for train, out in seen)
    assert all(labels.share[list(out)].all() for _, out in seen)
    judged = set.union(*(out for _, out in seen))
    assert found.random.shape == (3, len(found.sizes), labels.share.sum())
    assert len(judged) == labels.share.sum() == found.served.shape[1]
    assert found.random.min() == found.served.min() == 1
    assert found.sizes[-1] == 192  # four fifths of the random labels, and no more of those served


def test_serving_one_class_only_is_found_to_be_worse_than_random() -> None:
    steps: list[tuple[int, int]] = []
    told = evidence_helping.is_it_helping(
        synthetic(), strength=0.3, seed=0, on_fit=lambda done, total: steps.append((done, total))
    )
    assert told["state"] == "none", told["saved"]
    assert steps[-1][0] == steps[-1][1]


def nearest_mean(labels: Labels, train: Any, out: Any, strength: float, start: Any) -> Any:
    """In place of the head, which takes too long for many projects: the class whose mean is nearest."""
    features, targets = labels.features[train], labels.targets[train]
    means = [features[targets == key].mean(axis=0) for key in np.unique(targets)]
    distance = ((labels.features[out][:, None] - np.stack(means)) ** 2).sum(axis=2)
    return (np.unique(targets)[distance.argmin(axis=1)] == labels.targets[out]).astype(float), None


def served_at_random(seed: int, *, count: int = 800, share: int = 200) -> Labels:
    """A project that served its items in random order: there is nothing to be found."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    features = rng.normal(0, 1, (count, 16)).astype(np.float32)
    features[np.arange(count), targets] += 1.2
    drawn = np.zeros(count, dtype=bool)
    drawn[rng.permutation(count)[:share]] = True
    return Labels(features, targets, drawn, rng.permutation(count), ("a", "b", "c"), multi=False)


def test_where_items_were_served_at_random_neither_gain_nor_loss_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 60 such projects the 95 % interval may be wrong about 3 (7 with a chance of 2 %), and the mean of what they
    'saved' is 0 within three standard errors (52 labels a project)."""
    monkeypatch.setattr(evidence_helping, "_right", nearest_mean)
    monkeypatch.setattr(evidence_helping, "RESAMPLES", 300)
    told = [
        evidence_helping.is_it_helping(
            served_at_random(seed), strength=0.3, seed=seed, on_fit=lambda done, total: None
        )
        for seed in range(60)
    ]
    states = [each["state"] for each in told]
    assert states.count("none") <= 4
    assert states.count("saved") <= 4
    assert states.count("none") + states.count("saved") <= 6
    assert abs(np.mean([each["saved"]["value"] for each in told])) < 3 * 52 / np.sqrt(60)


def test_below_two_hundred_random_labels_nothing_is_measured() -> None:
    told = evidence_helping.is_it_helping(synthetic(share=150), strength=0.3, seed=0, on_fit=lambda *_: None)
    assert told == {"state": "few", "n_random": 150, "needed": 50}


def test_imported_answers_are_not_taken_for_the_work_of_a_strategy() -> None:
    labels = synthetic()
    brought = Labels(
        labels.features, labels.targets, labels.share, labels.served[:10], labels.class_keys, multi=False
    )
    told = evidence_helping.is_it_helping(brought, strength=0.3, seed=0, on_fit=lambda *_: None)
    assert (told["state"], told["served"]) == ("few", 10)


# The job


def drawn_project(count: int, labels: int, **fields: Any) -> Project:
    """A project whose first exploration draws are answered and that has a model of them."""
    project = make_world(count, **fields)
    items = {item.row: item for item in items_of(project)}
    order = exploration_order(settings_of(project).seed, np.array(sorted(items), dtype=np.int64))
    answer_truly(project, join(project), [items[row] for row in order[:labels].tolist()], exploration=True)
    for rank, annotation in enumerate(Annotation.objects.filter(project=project).order_by("created_at")):
        annotation.served |= {"round": 1, "rank": rank}
        annotation.save()
    run_round(project)
    return project


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def measured(project: Project) -> Evidence:
    run_job(evidence.measure(project=project, by=None).pk)
    found = evidence.latest(project.pk)
    assert found is not None
    return found


def dashboard(project: Project) -> str:
    page = client_of(project).get(reverse("workspace:dashboard", args=[project.pk]), {"part": "evidence"})
    return str(page.content.decode())


def test_the_dashboard_says_how_many_random_labels_are_missing() -> None:
    project = drawn_project(60, 40)
    page = dashboard(project)
    assert "Not enough evidence yet" in page
    assert "40 of 200 random labels; 160 more are needed (about 1,600 answers" in page


def test_gathering_evidence_stores_all_three_answers() -> None:
    project = drawn_project(100, 50)
    found = measured(project)
    assert (found.n_labels, found.n_random) == (50, 50)
    assert found.result["helping"]["state"] == "few"
    rows = {row["name"]: row for row in found.result["estimates"]["rows"]}
    assert set(rows) == {"Accuracy", "cat", "dog"}
    assert rows["cat"]["random"]["value"] == pytest.approx(rows["cat"]["naive"])
    assert rows["cat"]["weighted"] is None  # these answers do not say with which chance they were served
    page = client_of(project).get(reverse("learning:evidence", args=[project.pk])).content.decode()
    for words in (
        "Is it helping?",
        "When to stop",
        "What the labels say about all 100 items",
        "Too early to say",
    ):
        assert words in page


def test_after_a_round_it_is_measured_again_only_with_a_fifth_more_labels() -> None:
    project = drawn_project(320, 210)
    assert [job.kind for job in Job.objects.filter(project=project, kind="evidence")] == ["evidence"]
    run_jobs(project, "evidence")
    found = evidence.latest(project.pk)
    assert found is not None
    assert found.result["helping"]["state"] != "few"
    assert evidence.measure_if_due(project.pk) is None
    Evidence.objects.update(n_labels=170)
    assert evidence.measure_if_due(project.pk) is not None
    assert evidence.measure_if_due(project.pk) is None  # one waits already
    curve = client_of(project).get(reverse("learning:evidence-curve", args=[project.pk])).json()
    assert [series["name"] for series in curve["series"]] == ["Random labels", "Labels as served"]


def test_measured_too_early_it_does_not_wait_for_growth() -> None:
    project = drawn_project(320, 210)
    run_jobs(project, "evidence")
    Evidence.objects.update(n_labels=190, n_random=190)
    begun = evidence.measure_if_due(project.pk)
    assert begun is not None
    run_job(begun.pk)
    Evidence.objects.update(n_random=199)  # of answers that do not agree, say: the same labels say no more
    assert evidence.measure_if_due(project.pk) is None


def test_of_many_labels_all_must_be_right() -> None:
    """As of the model itself: one accuracy, whatever page it stands on."""
    rows = np.arange(40)
    targets = np.stack([rows % 2 == 0, rows % 4 < 2], axis=1)
    features = (targets * 2.0 - 1).astype(np.float32)
    features[:5, 1] *= -1  # the second label of these will be taken for the other
    train, out = rows[20:], rows[:20]
    labels = Labels(features, targets, np.ones(40, dtype=bool), rows, ("a", "b"), multi=True)
    right, _ = evidence_helping._right(labels, train, out, 0.3, None)
    assert right.tolist() == [0.0] * 5 + [1.0] * 15


def test_a_round_that_waits_goes_first_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    project = drawn_project(320, 210)
    start_job(kind="round", project_id=None, created_by=None, queue="gpu")
    for _ in range(evidence_run.PATIENCE):
        [job] = run_jobs(project, "evidence")
        job.refresh_from_db()
        assert job.result == {"made_room": True}
    [last] = run_jobs(project, "evidence")
    last.refresh_from_db()
    assert last.state == Job.State.SUCCEEDED, last.error
    assert Evidence.objects.filter(project=project).count() == 1


def test_it_cannot_be_measured_twice_at_once_nor_without_a_model() -> None:
    with pytest.raises(Conflict) as caught:
        evidence.measure(project=make_world(5), by=None)
    assert caught.value.code == "no_model"
    project = drawn_project(40, 30)
    evidence.measure(project=project, by=None)
    with pytest.raises(Conflict) as caught:
        evidence.measure(project=project, by=None)
    assert caught.value.code == "evidence_active"


SAVED = {"value": 120, "low": 40, "high": 200}
LEVEL = {"accuracy": 0.9, "random": 300, "served": 180}


def with_answer(state: str, saved: dict[str, int] = SAVED, needed: int | None = 0) -> Project:
    project = make_world(10)
    helping = {"state": state, "saved": saved, "needed": needed, "level": LEVEL, "n_random": 300}
    Evidence.objects.create(
        project=project, n_labels=500, n_random=300, strategy="margin",
        result={"helping": helping, "stopping": None, "estimates": None},
    )  # fmt: skip
    return project


def test_the_three_answers_in_words() -> None:
    assert "Saved about 120 labels (40 to 200)" in dashboard(with_answer("saved"))
    page = dashboard(with_answer("unclear", {"value": 20, "low": -10, "high": 50}, needed=150))
    assert "Not enough evidence yet" in page
    assert "Between -10 and 50 labels saved" in page
    assert "150 more random labels" in page
    hopeless = dashboard(with_answer("unclear", {"value": 0, "low": -10, "high": 10}, needed=None))
    assert "too small to be found" in hopeless
    none = with_answer("none", {"value": -80, "low": -150, "high": -20})
    page = dashboard(none)
    assert "No gain so far" in page
    assert "take 80 more than random ones for 90.0%" in page
    assert "Switch to random or typicality" in page


def test_what_to_switch_to_comes_from_a_backtest_where_there_is_one() -> None:
    project = with_answer("none", {"value": -80, "low": -150, "high": -20})
    rows = [
        {"name": "badge", "key": "badge", "title": "BADGE", "area": None},
        {"name": "entropy", "key": "entropy", "title": "Entropy", "area": {"value": 0.9}},
        {"name": "margin", "key": "margin", "title": "Margin", "area": {"value": 0.8}},
    ]
    backtest = Backtest.objects.create(
        project=project, seed=1, data=b"", result={"strategies": rows}, finished_at="2026-01-01T00:00:00Z"
    )
    assert f"Switch to Entropy, the best of backtest {backtest.pk}" in dashboard(project)
    backtest.result = {"strategies": [rows[0], rows[2], rows[1]]}
    backtest.save()
    page = dashboard(project)
    assert f"Backtest {backtest.pk} favours Margin, which is in use" in page
    assert "Switch to" not in page


# Estimates


def test_labels_weigh_by_the_chance_with_which_they_were_served() -> None:
    """Four draws of eight by hand: cats at certain places, one dog that had a chance of one in ten."""
    project = make_world(8)
    user, items = join(project), items_of(project)
    for rank, (place, chance) in enumerate([(0, 0.9), (2, 0.9), (1, 0.1), (4, 0.9)]):
        Annotation.objects.create(
            id=uuid.uuid4(), project=project, item=items[place], annotator=user, schema=project.schema,
            regions=choice(truth(items[place])),
            served={"round": 1, "rank": rank, "propensity": chance, "exploration": False},
        )  # fmt: skip
    gathered = evidence_run.gather(project, settings_of(project))
    assert (gathered.size, gathered.pool) == (8, 8)
    told = evidence_run.estimates(gathered, strength=0.3, seed=0)
    assert told["logged"] == 4
    dogs = next(row for row in told["rows"] if row["name"] == "dog")
    assert dogs["naive"] == 0.25
    # The k-th draw of m from n: v = 1 + (n-m)/(n-k) (1/((n-k+1) q) - 1); the dog's share of their sum.
    drawn = [(1, 0.9), (2, 0.9), (3, 0.1), (4, 0.9)]
    weights = [1 + (8 - 4) / (8 - k) * (1 / ((8 - k + 1) * q) - 1) for k, q in drawn]
    assert dogs["weighted"]["value"] == pytest.approx(weights[2] / sum(weights), abs=1e-4)
    assert dogs["weighted"]["low"] < dogs["weighted"]["value"] < dogs["weighted"]["high"] < 1


# When to stop


def add_models(project: Project, accuracies: list[float], *, step: int = 100, n: int = 400) -> None:
    for number, value in enumerate(accuracies, start=1):
        told = {"value": value, "low": value - 0.02, "high": value + 0.02}
        ModelVersion.objects.create(
            project=project, number=number, schema=project.schema, n_labels=step * number,
            metrics={"state": "measured", "n": n, "accuracy": told},
        )  # fmt: skip


def add_rounds(project: Project, kappas: list[float]) -> None:
    models = list(ModelVersion.objects.filter(project=project).order_by("number"))
    for number, value in enumerate(kappas, start=1):
        Round.objects.create(
            project=project, number=number, trigger="manual", seed=1, state=Round.State.PUBLISHED,
            model=models[number - 1], health={"stability": {"kappa": value}},
        )  # fmt: skip


def criteria(told: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: each["met"] for each in told["criteria"]}


def test_a_curve_that_rises_says_go_on_and_what_it_costs() -> None:
    project = make_world(4)
    add_models(project, [1 - 2 * (100 * n) ** -0.4 for n in range(1, 8)], n=20_000)
    add_rounds(project, [0.9] * 5)
    for item in items_of(project):
        annotation = Annotation(
            id=uuid.uuid4(), project=project, item=item, annotator=project.created_by, schema=project.schema,
            regions=choice("cat"), seconds=9.0,
        )  # fmt: skip
        annotation.save()
    told = stopping(project, seed=1)
    assert criteria(told) == {"plateau": False, "settled": False, "forecast": False}
    assert told["advice"] == "go_on"
    words = stopping_told(told)
    assert words["gain"]["low"] <= words["gain"]["value"] <= words["gain"]["high"]
    assert words["hours"] == pytest.approx(0.25)
    reached = stopping_told(told, "88")["target"]
    assert reached["labels"]["value"] > 100
    assert "hours of work" in reached["text"]
    assert stopping_told(told, "50")["target"]["text"] == "The newest model is there already."
    assert stopping_told(told, "100")["target"] is None
    assert stopping_told(told, "x" * 5000)["target"] is None


def test_a_flat_curve_of_models_that_agree_says_stop() -> None:
    project = make_world(4)
    add_models(project, [0.6, 0.8, 0.85, 0.87, 0.872, 0.871, 0.873], n=3000, step=400)
    add_rounds(project, [0.9, 0.99, 0.992, 0.995])
    told = stopping(project, seed=1)
    assert criteria(told)["plateau"] is True
    assert criteria(told)["settled"] is True
    assert told["advice"] == ("stop" if criteria(told)["forecast"] is not False else "go_on")
    assert stopping_told(told)["criteria"][0]["met"] is True


def test_without_models_nothing_can_be_judged() -> None:
    told = stopping(make_world(3), seed=1)
    assert criteria(told) == {"plateau": None, "settled": None, "forecast": None}
    assert told["advice"] == "unknown"
    assert told["seconds"] is None
    assert labels_to_reach(told["forecast"], 0.9) is None
    words = stopping_told(told, "90")
    assert words["hours"] is None
    assert "forecast needs errors" in words["target"]["text"]


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        ([True, True, None], "stop"),
        ([True, None, None], "unknown"),
        ([True, True, False], "go_on"),
        ([None, None, None], "unknown"),
    ],
)
def test_what_follows_from_the_signs(met: list[bool | None], expected: str) -> None:
    assert advice(met) == expected


def test_rounds_note_how_far_their_model_agrees_with_the_one_before() -> None:
    project = make_world(80)
    user, items = join(project), items_of(project)
    answer_truly(project, user, items[:20])
    assert run_round(project).health["stability"] is None
    answer_truly(project, user, items[20:50])
    told = run_round(project).health["stability"]
    assert told["rows"] == 80
    assert told["round"] == 1
    assert 0.5 < told["kappa"] <= 1
    assert 0.5 < told["agreement"] <= 1
    assert run_round(project).health["stability"]["round"] == 1  # nothing new: the same model


# API


def test_programs_ask_for_the_evidence_and_for_a_new_measurement() -> None:
    project = drawn_project(60, 40)
    client, url = client_of(project), f"/api/v1/projects/{project.pk}/evidence/"
    before = client.get(url).json()
    assert (before["measured_at"], before["helping"]["state"], before["stopping"]) == (None, "few", None)
    begun = client.post(url, json.dumps({}), content_type="application/json")
    assert begun.status_code == 202
    assert client.get(url).json()["job"] == begun.json()["id"]
    run_jobs(project, "evidence")
    told = client.get(url, {"target": "95"}).json()
    assert told["n_labels"] == 40
    assert told["stopping"]["target"]["percent"] == 95
    assert told["estimates"]["labels"] == 40


def test_the_settings_of_the_project_stay_as_they_are() -> None:
    project = drawn_project(60, 40)
    before = LearningSettings.objects.filter(project=project).values().get()
    measured(project)
    assert LearningSettings.objects.filter(project=project).values().get() == before
