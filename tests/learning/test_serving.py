"""What a round serves: exploration, new items, started items, failures of strategies, refills."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from acquisition import registry
from acquisition.pool import Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling import queue
from annotator.labeling.models import QueueEntry
from annotator.learning import selectors, services, triggers, window
from annotator.learning.models import Encoding, Round
from annotator.learning.stream import UNSCORED_PERIOD
from annotator.projects.models import Project
from tests.factories import join, make_items
from tests.learning.world import (
    answer,
    answer_truly,
    encode,
    items_of,
    make_world,
    queue_of,
    run_round,
    settings_of,
    truth,
)

pytestmark = pytest.mark.django_db


def trained_world(count: int = 100, labels: int = 20, **learning: Any) -> Project:
    project = make_world(count, learning=learning)
    answer_truly(project, join(project), items_of(project)[:labels], exploration=True)
    return project


def test_the_exploration_share_is_drawn_and_written_down() -> None:
    project = trained_world(400, exploration_share=0.5)
    round_ = run_round(project)
    entries = queue_of(project)
    explored = [entry for entry in entries if entry.served["exploration"]]
    assert 0.35 < len(explored) / len(entries) < 0.65
    assert round_.health["exploration_share"] == pytest.approx(len(explored) / len(entries))
    assert all(0 < entry.served["propensity"] <= 1 for entry in entries)
    assert {entry.served["reason"]["kind"] for entry in explored} == {"exploration"}


def test_every_entry_tells_where_it_comes_from() -> None:
    project = trained_world()
    round_ = run_round(project)
    entries = queue_of(project)
    assert [entry.served["rank"] for entry in entries] == list(range(len(entries)))
    for entry in entries:
        served = entry.served
        assert (served["round"], served["seed"], served["model"]) == (
            round_.number, round_.seed, round_.number,
        )  # fmt: skip
        assert served["strategy"]["key"] == "margin"
        assert served["reason"]["text"]
        if served["exploration"]:  # measures the model: the answer must not be led by it
            assert entry.suggestion is None
            continue
        assert entry.suggestion["model"] == round_.number
        assert sum(entry.suggestion["classes"].values()) == pytest.approx(1, abs=0.01)


def test_randomness_changes_the_order_but_not_the_members() -> None:
    strict, loose = trained_world(exploration_share=0.0), trained_world(exploration_share=0.0, randomness=1.0)
    run_round(strict)
    run_round(loose)
    rows = [[entry.item.row for entry in queue_of(project)] for project in (strict, loose)]
    assert sorted(rows[0]) == sorted(rows[1])
    assert rows[0] != rows[1]


def test_new_items_without_features_do_not_starve() -> None:
    project = trained_world(60, exploration_share=0.0)
    make_items(project, 4)
    round_ = run_round(project)
    entries = queue_of(project)
    places = [place for place, entry in enumerate(entries) if entry.served["reason"]["kind"] == "unscored"]
    assert places == [UNSCORED_PERIOD * n - 1 for n in (1, 2, 3, 4)]
    assert round_.health["unscored"] == 4
    assert any("features" in text for text in round_.health["degraded"])
    encode(project)
    assert run_round(project).health["unscored"] == 0


def test_started_items_get_their_missing_answers_first() -> None:
    project = make_world(60, learning={"exploration_share": 0.0}, overlap=2)
    answer_truly(project, join(project), items_of(project)[:20])
    run_round(project)
    entries = queue_of(project)
    kinds = [entry.served["reason"]["kind"] for entry in entries]
    assert kinds[1:20:2] == ["finish"] * 10
    assert kinds[0:20:2] == ["margin"] * 10
    assert all(entry.free == 1 for entry in entries if entry.item.row < 20)


def test_held_out_and_archived_items_are_never_served() -> None:
    project = trained_world(60)
    Item.objects.filter(project=project, row__in=[30, 31]).update(split=Item.Split.TEST)
    Item.objects.filter(project=project, row=32).update(archived_at="2026-01-01T00:00Z")
    run_round(project)
    assert not {30, 31, 32} & {entry.item.row for entry in queue_of(project)}


def register(monkeypatch: pytest.MonkeyPatch, select: Callable[..., Ranking]) -> None:
    """A third party's strategy, for the length of a test."""
    spec = StrategySpec(key="foreign", title="Foreign", advice="Use it in tests.", needs=frozenset({"proba"}))
    found, failures = registry._loaded()
    foreign = {**found, "foreign": strategy(spec)(select)}
    monkeypatch.setattr(registry, "_loaded", lambda: (foreign, failures))


def constant(pool: Pool, labeled: Any, n: int, rng: np.random.Generator) -> Ranking:
    return rank_by_utility(pool, np.full(len(pool), 0.5), n, rng)


def nothing(pool: Pool, labeled: Any, n: int, rng: np.random.Generator) -> Ranking:
    return rank_by_utility(pool, np.full(len(pool), np.nan), n, rng)


def infinite(pool: Pool, labeled: Any, n: int, rng: np.random.Generator) -> Ranking:
    return rank_by_utility(pool, np.full(len(pool), np.inf), n, rng)


def crashing(pool: Pool, labeled: Any, n: int, rng: np.random.Generator) -> Ranking:
    raise ZeroDivisionError("no mass left")


@pytest.mark.parametrize("select", [constant, nothing, infinite, crashing])
def test_a_useless_strategy_is_a_visible_state(
    monkeypatch: pytest.MonkeyPatch, select: Callable[..., Ranking]
) -> None:
    project = trained_world()
    good = run_round(project)
    before = [entry.pk for entry in queue_of(project)]
    register(monkeypatch, select)
    settings_of(project).__class__.objects.filter(project=project).update(strategy="foreign")
    failed = run_round(project)
    assert failed.state == Round.State.FAILED
    assert failed.health["failed"]["step"] == "rank"
    assert failed.health["failed"]["served"] == "the previous ranking"
    assert [entry.pk for entry in queue_of(project)] == before
    assert queue_of(project)[0].served["round"] == good.number


def test_a_failure_with_nothing_to_serve_falls_back_to_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    project = trained_world(strategy="foreign")
    register(monkeypatch, crashing)
    failed = run_round(project)
    assert failed.health["failed"]["served"] == "random order"
    entries = queue_of(project)
    assert len(entries) == 80
    assert {entry.served["reason"]["kind"] for entry in entries} == {"fallback"}


def small_window(monkeypatch: pytest.MonkeyPatch, size: int = 10) -> None:
    monkeypatch.setattr(window, "LEAST", size)
    monkeypatch.setattr(window, "BATCHES", 0)


def test_refills_walk_through_the_whole_ranking_without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    small_window(monkeypatch)
    project = trained_world(80, exploration_share=0.3)
    user = join(project)
    run_round(project)
    seen: list[int] = []
    while entries := queue_of(project):
        for entry in entries:
            assert entry.item.row not in seen
            seen.append(entry.item.row)
            answer(project, user, entry.item, truth(entry.item))
        QueueEntry.objects.filter(project=project).update(free=0)
        if not services.refill_if_low(project.pk):
            break
        QueueEntry.objects.filter(project=project, free=0).delete()
    assert sorted(seen) == list(range(20, 80))


def test_a_full_window_is_not_refilled(monkeypatch: pytest.MonkeyPatch) -> None:
    small_window(monkeypatch)
    project = trained_world(80)
    run_round(project)
    assert len(queue_of(project)) == 10
    assert services.refill_if_low(project.pk) == 0
    QueueEntry.objects.filter(project=project).update(free=0)
    assert services.refill_if_low(project.pk) > 0


def test_an_import_is_served_at_once_and_then_ranked() -> None:
    project = make_world(0)
    make_items(project, 30)
    job = services.on_items_added(project.pk)
    entries = queue_of(project)
    assert len(entries) == 30
    assert {entry.served["reason"]["kind"] for entry in entries} == {"initial"}
    assert all(entry.served["exploration"] for entry in entries)
    assert job is not None
    assert job.kind == triggers.ENCODE_JOB
    assert services.on_items_added(project.pk) is None  # one job waits already
    assert Round.objects.get(project=project).trigger == "initial"


@pytest.mark.parametrize("cold", ["typicality", "kmeans", "random"])
@pytest.mark.parametrize("count", [1, 2, 20, 150])
def test_the_cold_start_serves_projects_of_any_size(cold: str, count: int) -> None:
    project = make_world(count, learning={"cold_strategy": cold, "exploration_share": 0.0})
    round_ = run_round(project)
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert sorted(entry.item.row for entry in queue_of(project)) == list(range(count))


def test_an_encoder_that_learns_is_taught_again_when_the_project_has_doubled() -> None:
    project = make_world(20)
    Encoding.objects.filter(project=project).update(fitted_items=11)
    run_round(project)
    assert not Job.objects.filter(project=project, kind=triggers.ENCODE_JOB).exists()
    Encoding.objects.filter(project=project).update(fitted_items=10)
    run_round(project)
    assert Job.objects.filter(project=project, kind=triggers.ENCODE_JOB).count() == 1
    run_round(project)
    assert Job.objects.filter(project=project, kind=triggers.ENCODE_JOB).count() == 1


def test_the_encode_job_makes_features_and_a_round() -> None:
    project = make_world(0)
    Encoding.objects.filter(project=project).delete()
    make_items(project, 30)
    job = services.on_items_added(project.pk)
    assert job is not None
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error
    assert job.result["encoded"] == 30
    project.refresh_from_db()
    assert selectors.features_share(project)["encoded"] == 30
    waiting = Round.objects.get(project=project, state=Round.State.ACTIVE)
    assert waiting.trigger == "items"


def test_who_has_done_the_whole_window_gets_the_next_part_though_others_still_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_window(monkeypatch)
    project = make_world(80, overlap=2)
    run_round(project)
    user, client = join(project), APIClient()
    client.force_authenticate(user)
    address = reverse("api:next", args=[project.pk])
    for entry in queue_of(project):
        answer(project, user, entry.item, truth(entry.item))
    assert services.refill_if_low(project.pk) == 0  # another person still wants all of it
    given = client.post(address, {"holder": str(uuid.uuid4()), "count": 1}, format="json").json()
    assert len(given["leases"]) == 1, given["nothing"]


def test_a_refill_never_appends_an_older_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    small_window(monkeypatch)
    project = trained_world(80)
    run_round(project)

    def meanwhile(project_id: int) -> int:
        """Between the look at the queue and the refill another round is published."""
        run_round(project)
        return 0

    monkeypatch.setattr(queue, "open_entries", meanwhile)
    assert services.refill_if_low(project.pk) > 0
    newest = Round.objects.latest("number")
    assert {entry.served["round"] for entry in queue_of(project)} == {newest.number}
