"""Rounds by strategies that need a committee, the round before, or the class of outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import OperationalError
from django.urls import reverse

from acquisition import committee as scores
from acquisition import registry
from acquisition.committee import MemberOptions, map_draws, member_params
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy
from annotator.common.errors import Conflict
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job, run_job
from annotator.learning import catalogue, committee, triggers
from annotator.learning.arrays import load_array
from annotator.learning.committee import affordable
from annotator.learning.folders import round_folder
from annotator.learning.models import LearningSettings, Round
from annotator.learning.replay import replay_round
from annotator.learning.steps import rank
from annotator.learning.work import Work
from annotator.projects.models import LabelClass, LabelSchema, Project
from models_zoo.ensemble import HeadEnsemble
from tests.factories import join, make_items
from tests.learning.world import (
    answer,
    answer_truly,
    encode,
    items_of,
    make_world,
    queue_of,
    run_round,
)

pytestmark = pytest.mark.django_db
COMMITTEE = (
    "bald", "batchbald", "kl_to_consensus", "mc_entropy", "mean_std", "outlier_variation_ratio",
    "variation_ratio", "vote_entropy",
)  # fmt: skip
OTHERS = ("ceal", "contrastive", "contrastive_active", "gradient_length", "ratio", "robust_distillation")


def learned(strategy_key: str, *, items: int = 80, labels: int = 24, **learning: Any) -> Project:
    """A project that has some labels and goes by this strategy."""
    project = make_world(
        items,
        learning={
            "strategy": strategy_key,
            "strategy_params": catalogue.checked_strategy(
                strategy_key, learning.pop("params", {}), task="single", cold=False
            ),
            "exploration_share": 0.0,
            **learning,
        },
    )
    answer_truly(project, join(project), items_of(project)[:labels])
    return project


def saved_members(round_: Round) -> HeadEnsemble:
    with np.load(round_folder(round_.project_id, round_.number) / "members.npz") as saved:
        return HeadEnsemble(
            saved["weights"],
            saved["bias"],
            tuple(saved["class_keys"].tolist()),
            temperature=float(saved["temperature"]),
        )


def served_rows(project: Project) -> list[int]:
    return [entry.item.row for entry in queue_of(project)]


@pytest.mark.parametrize("key", [*COMMITTEE, *OTHERS])
def test_a_project_can_go_by_it(key: str) -> None:
    project = learned(key, labels=30)
    round_ = run_round(project)
    assert round_.state == Round.State.PUBLISHED, round_.error
    assert round_.strategy == key
    assert round_.health["scored"] == 50
    first = queue_of(project)[0]
    assert first.served["strategy"]["key"] == key
    assert first.served["reason"]["kind"] == key
    assert first.served["reason"]["text"]
    assert ("committee" in round_.settings) == (key in COMMITTEE)


@pytest.mark.parametrize("kind", ["ensemble", "dropout"])
def test_bald_trains_a_committee_ranks_by_it_and_serves_its_ranking(kind: str) -> None:
    project = learned("bald", params={"members": 6, "member_kind": kind})
    round_ = run_round(project)
    assert round_.settings["committee"] == {"members": 6, "member_kind": kind, "dropout": 0.3}
    members = saved_members(round_)
    assert len(members) == 6
    store = Work(round_, progress=lambda done, total: None, should_stop=lambda: False).store
    assert store is not None
    rows = np.arange(24, 80)
    expected = map_draws(scores.bald, members.predict(store.features_of(rows)))
    assert expected.max() > 0
    served = served_rows(project)
    assert sorted(served) == rows.tolist()
    in_order = expected[np.array(served) - 24]
    assert np.all(np.diff(in_order) <= 1e-6)
    utility = np.asarray(load_array(round_folder(project.pk, round_.number) / "utility.npy"))
    np.testing.assert_allclose(utility[rows], expected, atol=1e-5)
    reason = queue_of(project)[0].served["reason"]
    assert reason["members"] == 6
    assert "models" in reason["text"]


def test_more_labels_make_another_committee_and_another_order() -> None:
    project = learned("bald")
    first = run_round(project)
    before = served_rows(project)
    answer_truly(project, join(project), items_of(project)[24:50])
    second = run_round(project)
    assert not np.allclose(saved_members(first).weights, saved_members(second).weights)
    assert [row for row in before if row >= 50] != served_rows(project)


def test_strategies_that_need_no_committee_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("a committee was made")

    monkeypatch.setattr(committee, "fit_ensemble", never)
    monkeypatch.setattr(committee, "dropout_ensemble", never)
    assert run_round(learned("margin")).state == Round.State.PUBLISHED


def test_a_round_is_replayed_with_its_own_committee() -> None:
    project = learned("batchbald", items=60)
    round_ = run_round(project)
    answer_truly(project, join(project), items_of(project)[24:40])
    run_round(project)
    assert replay_round(Round.objects.get(pk=round_.pk)).same is True
    (round_folder(project.pk, round_.number) / "members.npz").unlink()
    with pytest.raises(Conflict, match="committee"):
        replay_round(Round.objects.get(pk=round_.pk))


def test_cancelling_while_the_committee_speaks_is_no_failure_of_the_strategy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = learned("bald")
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None
    speak, job = HeadEnsemble.predict, round_.job

    def cancelled_meanwhile(self: HeadEnsemble, *args: Any) -> Any:
        monkeypatch.setattr("annotator.jobs.services.PROGRESS_EVERY", 0.0)
        cancel_job(job=Job.objects.get(pk=job.pk))
        return speak(self, *args)

    monkeypatch.setattr(HeadEnsemble, "predict", cancelled_meanwhile)
    run_job(job.pk)
    round_.refresh_from_db()
    assert (round_.state, round_.error) == (Round.State.CANCELLED, "Cancelled.")
    assert "failed" not in round_.health
    assert Job.objects.get(pk=job.pk).state == Job.State.CANCELLED


def test_a_database_that_is_away_is_not_blamed_on_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    project = learned("margin")
    round_ = triggers.begin_round(project.pk, trigger="manual")
    assert round_ is not None
    assert round_.job is not None

    def away(*args: Any) -> Any:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(rank, "_labeled", away)
    with pytest.raises(OperationalError):
        run_job(round_.job.pk)
    round_.refresh_from_db()
    assert round_.error == "OperationalError: the connection is closed"


def test_several_labels_an_item() -> None:
    project = make_world(
        60, learning={"strategy": "bald", "exploration_share": 0.0}, classes=("cat", "dog"), task="multi"
    )
    user = join(project)
    for item in items_of(project)[:20]:
        answer(project, user, item, *(["cat"] if item.row % 2 == 0 else ["cat", "dog"]))
    answer(project, user, items_of(project)[20], "dog")
    round_ = run_round(project)
    assert (round_.state, round_.strategy) == ("published", "bald"), round_.error


def test_a_pool_that_is_too_large_is_sampled_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    # 30 items x 2 classes x 10 members.
    monkeypatch.setattr(committee, "MOST_ENTRIES", 600)
    project = learned("bald", items=100, labels=20)
    make_items(project, 3)
    round_ = run_round(project)
    assert round_.health["scored"] == 30
    assert (round_.health["left_out"], round_.health["unscored"]) == (50, 3)
    (note,) = [note for note in round_.health["notes"] if note["code"] == "sampled"]
    assert (note["used"], note["size"]) == (30, 80)
    entries = queue_of(project)
    assert len(entries) == 83
    kinds = [entry.served["reason"]["kind"] for entry in entries]
    # New items take every tenth place; what was left out comes after all the rest.
    assert kinds[9] == "unscored"
    assert kinds[:33].count("bald") == 30
    assert kinds[33:] == ["unscored"] * 50


def test_what_is_affordable_belongs_to_the_seed_and_not_to_the_rows() -> None:
    options = MemberOptions(members=4, member_kind="ensemble", dropout=0.3)
    rows = np.arange(1000)
    assert affordable(rows, classes=3, options=options, seed=1) is rows
    few = MemberOptions(members=50, member_kind="ensemble", dropout=0.3)
    committee_rows = committee.MOST_ENTRIES // (50 * 10_000)
    part = affordable(rows, classes=10_000, options=few, seed=1)
    assert len(part) == committee_rows
    assert np.all(np.diff(part) > 0)
    assert not np.array_equal(part, affordable(rows, classes=10_000, options=few, seed=2))


def test_shards_of_draws_are_the_draws_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    project = learned("bald")
    whole = run_round(project)
    monkeypatch.setattr(committee, "SHARD_ENTRIES", 7 * 20)
    assert replay_round(Round.objects.get(pk=whole.pk)).same is True


def test_options_come_from_what_strategies_declare() -> None:
    usual = MemberOptions.of()
    assert usual == MemberOptions(members=10, member_kind="ensemble", dropout=0.3)
    assert MemberOptions.of(({}, {})) == usual
    asked = MemberOptions.of((member_params(kind="dropout"), {"members": 7}))
    assert asked == MemberOptions(members=7, member_kind="dropout", dropout=0.3)
    most = MemberOptions.of((member_params(), {"members": 7}), (member_params(members=20), {}))
    assert most.members == 20


def test_a_foreign_strategy_gets_draws_for_the_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def select(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator) -> Ranking:
        assert pool.draws is not None
        seen.update(shape=pool.draws.shape, signals=pool.signals)
        return rank_by_utility(pool, pool.draws.std(axis=2).max(axis=1), n, rng)

    spec = StrategySpec(key="foreign", title="Foreign", advice="Use it in tests.", needs=frozenset({"draws"}))
    found, failures = registry._loaded()
    foreign = {**found, "foreign": strategy(spec)(select)}
    monkeypatch.setattr(registry, "_loaded", lambda: (foreign, failures))
    assert run_round(learned("foreign")).state == Round.State.PUBLISHED
    assert seen == {"shape": (56, 2, 10), "signals": {"draws"}}


def listening(monkeypatch: pytest.MonkeyPatch, key: str) -> list[tuple[Pool, Labeled]]:
    """What the strategy is handed from now on."""
    handed: list[tuple[Pool, Labeled]] = []
    known = registry.get(key)

    def select(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, **params: Any) -> Ranking:
        handed.append((pool, labeled))
        return known.function(pool, labeled, n, rng, **params)

    found, failures = registry._loaded()
    changed = {**found, key: strategy(known.spec)(select)}
    monkeypatch.setattr(registry, "_loaded", lambda: (changed, failures))
    return handed


def test_the_round_before_is_that_of_the_model_before(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = listening(monkeypatch, "contrastive_active")
    project = learned("contrastive_active", items=70)
    first = run_round(project)
    assert [note["code"] for note in first.health["notes"]] == ["no-previous"]
    pool, _ = handed[-1]
    assert pool.previous is not None
    assert np.isnan(pool.previous).all()

    answer_truly(project, join(project), items_of(project)[24:40])
    make_items(project, 2)
    encode(project)
    second = run_round(project)
    pool, _ = handed[-1]
    assert pool.previous is not None
    assert second.settings["previous_round"] == first.number
    assert second.health["notes"] == []
    kept = np.asarray(load_array(round_folder(project.pk, first.number) / "proba.npy"), dtype=np.float32)
    old = pool.ids < 70
    np.testing.assert_allclose(pool.previous[old], kept[pool.ids[old]], atol=1e-3)
    assert np.isnan(pool.previous[~old]).all()
    assert (~old).sum() == 2

    # Nothing new was learned: the round before is still that of the other model.
    third = run_round(project)
    assert third.model == second.model
    assert third.settings["previous_round"] == first.number


def test_classes_of_the_round_before_are_read_as_those_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = listening(monkeypatch, "contrastive_active")
    project = learned("contrastive_active")
    run_round(project)
    new = LabelSchema.objects.create(project=project, version=2)
    LabelClass.objects.bulk_create(
        LabelClass(schema=new, key=key, name=key, order=order)
        for order, key in enumerate(("bird", "cat", "dog"))
    )
    user = join(project)
    for item in items_of(project)[24:30]:
        answer(project, user, item, "bird")
    run_round(project)
    pool, _ = handed[-1]
    assert pool.previous is not None
    assert pool.previous.shape == (50, 3)
    assert np.all(pool.previous[:, 0] == 0)
    np.testing.assert_allclose(pool.previous.sum(axis=1), 1, atol=1e-5)


def test_a_replay_needs_the_probabilities_of_the_round_before() -> None:
    project = learned("contrastive_active", items=60)
    first = run_round(project)
    answer_truly(project, join(project), items_of(project)[24:40])
    second = run_round(project)
    assert replay_round(Round.objects.get(pk=second.pk)).same is True
    (round_folder(project.pk, first.number) / "proba.npy").unlink()
    with pytest.raises(Conflict, match=f"probabilities of round {first.number}"):
        replay_round(Round.objects.get(pk=second.pk))


def test_a_strategy_sees_what_the_model_says_of_labelled_items(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = listening(monkeypatch, "contrastive")
    project = learned("contrastive")
    round_ = run_round(project)
    pool, labeled = handed[-1]
    assert labeled.proba is not None
    kept = np.asarray(load_array(round_folder(project.pk, round_.number) / "proba.npy"), dtype=np.float32)
    np.testing.assert_allclose(labeled.proba, kept[labeled.ids], atol=1e-3)
    assert not set(labeled.ids.tolist()) & set(pool.ids.tolist())


def test_the_class_of_outliers_is_told_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = listening(monkeypatch, "outlier_variation_ratio")
    project = learned("outlier_variation_ratio")
    round_ = run_round(project)
    assert handed[-1][0].outlier is None
    assert [note["code"] for note in round_.health["notes"]] == ["no-outlier-class"]

    project.schema.classes.filter(key="dog").update(is_outlier=True)
    run_round(project)
    pool, labeled = handed[-1]
    assert pool.outlier == 1
    assert labeled.class_counts()[1] > 0
    # Items that the committee takes for outliers come last.
    served = np.array(served_rows(project))
    store = Work(round_, progress=lambda done, total: None, should_stop=lambda: False).store
    assert store is not None
    members = saved_members(Round.objects.filter(project=project).latest("number"))
    taken = members.predict(store.features_of(served)).mean(axis=2).argmax(axis=1) == 1
    assert taken.any()
    assert not taken.all()
    assert np.all(np.diff(taken.astype(int)) >= 0)


def test_the_form_offers_them_with_their_members(client: Any) -> None:
    project = make_world(4)
    keys = {found.spec.key for found in catalogue.strategies("single", cold=False)}
    assert keys >= {*COMMITTEE, *OTHERS}
    cold = {found.spec.key for found in catalogue.strategies("single", cold=True)}
    assert not cold & set(COMMITTEE)
    client.force_login(project.created_by)
    LearningSettings.objects.filter(project=project).update(strategy="bald")
    page = client.get(reverse("learning:settings", args=[project.pk])).content.decode()
    assert 'name="strategy-members"' in page
    assert 'name="strategy-member_kind"' in page
