"""The strategy lab: what it may judge on, how it survives crashes, what it plans."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotator.common.errors import Conflict, Invalid
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job, start_job
from annotator.learning import lab, lab_duration, lab_run
from annotator.learning.exploration import random_share
from annotator.learning.lab_data import Counts, LabLabels, count_labels, freeze_labels, unpack
from annotator.learning.lab_plan import areas, most_left, next_runs
from annotator.learning.lab_results import chart, summary
from annotator.learning.models import Backtest, BacktestRun
from tests.factories import join, make_items
from tests.learning.lab import QUICK, client_of, in_key_order, labelled, planned, play
from tests.learning.world import answer_truly, encode, run_jobs, settings_of

pytestmark = pytest.mark.django_db


# What it works on


def test_only_randomly_drawn_labels_judge() -> None:
    project = labelled(drawn=80, chosen=50)
    labels, facts = freeze_labels(project, settings_of(project), seed=3)
    assert (facts["labels"], facts["judges"], facts["chosen"], facts["how"]) == (130, 80, 50, "random")
    share = random_share(project.pk, settings_of(project).seed, labels.rows)
    halves = []
    for seed in range(5):
        pool, held_out = labels.split([3, seed], pool="all")
        assert share[held_out].all()
        assert (len(pool), len(held_out)) == (90, 40)
        assert not np.intersect1d(pool, held_out).size
        halves.append(set(held_out.tolist()))
    assert len(set.union(*halves)) > 60  # another half for each seed
    only, _ = labels.split([3, 0], pool="random")
    assert share[only].all()
    assert len(only) == 40


def test_with_too_few_random_labels_it_says_how_many_more() -> None:
    project = labelled(drawn=40, chosen=60)
    with pytest.raises(Conflict) as caught:
        lab.plan(project, QUICK)
    assert caught.value.code == "too_few_random_labels"
    assert "there are 40" in caught.value.message
    assert "about 200 answers at the exploration share of 10%" in caught.value.hint


def test_where_everything_is_labelled_any_label_may_judge() -> None:
    project = labelled(100, drawn=10, chosen=90)
    labels, facts = freeze_labels(project, settings_of(project), seed=0)
    assert (facts["how"], facts["judges"], facts["chosen"]) == ("all", 100, 0)
    assert labels.judge.all()


def test_a_labelled_test_split_judges_instead_and_is_never_learned_from() -> None:
    project = labelled(100, drawn=30, chosen=30)
    held = make_items(project, 35, split=Item.Split.TEST)
    encode(project)
    answer_truly(project, join(project), held)
    counts = count_labels(settings_of(project))
    assert (counts.how, counts.judges, counts.held_out, counts.pool("all")) == ("test", 35, 35, 60)
    labels, _ = freeze_labels(project, settings_of(project), seed=0)
    pool, held_out = labels.split([0, 1], pool="all")
    rows = {item.row for item in held}
    assert set(labels.rows[held_out].tolist()) == rows
    assert not set(labels.rows[pool].tolist()) & rows


def test_a_few_labels_of_the_test_split_are_neither_learned_from_nor_judged_on() -> None:
    project = labelled(140, drawn=80)
    held = make_items(project, 5, split=Item.Split.TEST)
    encode(project)
    answer_truly(project, join(project), held)
    labels, facts = freeze_labels(project, settings_of(project), seed=0)
    assert facts["how"] == "random"
    assert not set(labels.rows.tolist()) & {item.row for item in held}


def test_labels_of_gold_items_are_neither_counted_nor_used() -> None:
    project = labelled(100, drawn=10, chosen=90)
    gold = make_items(project, 8, split=Item.Split.GOLD)
    encode(project)
    answer_truly(project, join(project), gold)
    counts = count_labels(settings_of(project))
    # Every item of the pool has a label, whatever else there is.
    assert (counts.labels, counts.judges, counts.how) == (100, 100, "all")
    _, facts = freeze_labels(project, settings_of(project), seed=0)
    assert (facts["labels"], facts["of"], facts["how"]) == (100, 100, "all")


def test_items_without_features_do_not_count() -> None:
    project = labelled(100, drawn=70)
    more = make_items(project, 20)
    answer_truly(project, join(project), more, exploration=True)
    assert count_labels(settings_of(project)).labels == 70


def test_labels_survive_being_packed() -> None:
    labels = LabLabels(
        np.arange(3), np.array([[True, False]] * 3), np.array([True, False, True]), np.zeros(3, dtype=bool)
    )
    again = unpack(labels.pack())
    for name in ("rows", "targets", "judge", "test"):
        assert np.array_equal(getattr(again, name), getattr(labels, name))


# What it does


def test_a_backtest_plays_every_strategy_with_every_seed_and_keeps_the_result() -> None:
    backtest = play(labelled())
    assert backtest.state == "done"
    runs = list(backtest.runs.all())
    assert {(run.name, run.seed) for run in runs} == {
        (name, seed) for name in ("margin", "random") for seed in range(3)
    }
    assert all(run.labels == [10, 20, 30] and len(run.scores) == 3 and run.held_out == 60 for run in runs)
    told = {row["name"]: row for row in backtest.result["strategies"]}
    assert told["random"]["saved"] is None
    assert (
        told["margin"]["saved"]["low"] <= told["margin"]["saved"]["value"] <= told["margin"]["saved"]["high"]
    )
    assert 0.5 < told["margin"]["area"]["value"] <= 1
    [verdict] = backtest.result["verdicts"]
    assert verdict["decision"] == "equal"  # three seeds can decide nothing
    assert any("Fewer than five seeds" in note for note in backtest.result["notes"])
    drawn = chart(backtest, runs)
    assert [series["name"] for series in drawn["series"]] == ["Margin", "Random"]
    assert [point["x"] for point in drawn["series"][0]["points"]] == [10, 20, 30]
    assert all(point["low"] <= point["y"] <= point["high"] for point in drawn["series"][0]["points"])


def test_the_same_labels_and_seed_give_the_same_curves() -> None:
    project = labelled()
    first, second = play(project), lab.start_backtest(project=project, by=None, values=QUICK)
    Backtest.objects.filter(pk=second.pk).update(seed=first.seed)
    assert second.job is not None
    run_job(second.job.pk)
    for run in second.runs.all():
        assert run.scores == first.runs.get(name=run.name, seed=run.seed).scores


def test_presets_and_the_projects_own_composition_are_replayed_as_rounds_would() -> None:
    project = labelled(learning={"composition": {"terms": [{"strategy": "entropy"}]}})
    backtest = play(project, strategies=["own", "preset:automatic", "preset:tight_budget"], budget=40)
    assert list(backtest.runs.exclude(error="").values_list("name", "error")) == []
    assert {run.name for run in backtest.runs.all()} == {
        "own",
        "preset:automatic",
        "preset:tight_budget",
        "random",
    }
    assert backtest.settings["in_use"] == "own"


def test_a_committee_is_made_for_strategies_that_ask_one() -> None:
    backtest = play(labelled(), strategies=[{"key": "bald", "params": {"members": 3}}], budget=20)
    assert list(backtest.runs.exclude(error="").values_list("name", "error")) == []


def test_several_classes_at_once_are_replayed_too() -> None:
    project = labelled(classes=("cat", "dog", "cow"), task="multi")
    backtest = play(project, seeds=3, budget=20)
    assert backtest.state == "done", backtest.job and backtest.job.error
    assert not backtest.runs.exclude(error="").exists()


class Killed(BaseException):
    """Stands for SIGKILL."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> list[tuple[str, int]]:
    """The run after so many ends with this error; returns what was begun."""
    whole, begun = lab_run.Bench.play, []

    def fatal(self: Any, half: Any, *more: Any) -> Any:
        begun.append((half.name, half.seed))
        if len(begun) == after + 1:
            raise error
        return whole(self, half, *more)

    monkeypatch.setattr(lab_run.Bench, "play", fatal)
    return begun


def test_after_a_crash_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    assert backtest.job is not None
    with monkeypatch.context() as patch:
        interrupt(patch, 2, Killed())
        with pytest.raises(Killed):
            run_job(backtest.job.pk)
    kept = {(run.name, run.seed): (run.pk, run.scores) for run in backtest.runs.all()}
    assert len(kept) == 2
    frozen = bytes(Backtest.objects.get(pk=backtest.pk).data)
    answer_truly(
        project, join(project), in_key_order(project)[120:]
    )  # labels that came meanwhile change nothing
    with monkeypatch.context() as patch:
        begun = interrupt(patch, 99, Killed())
        Job.objects.filter(pk=backtest.job.pk).update(state=Job.State.QUEUED)
        run_job(backtest.job.pk)
    assert not set(begun) & set(kept)
    done = lab.backtest_of(project.pk, backtest.pk)
    assert (done.state, done.runs.count(), bytes(done.data)) == ("done", 6, frozen)
    for (name, seed), (pk, scores) in kept.items():
        assert (done.runs.get(name=name, seed=seed).pk, done.runs.get(name=name, seed=seed).scores) == (
            pk,
            scores,
        )


def test_it_can_be_cancelled_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    assert backtest.job is not None
    job = backtest.job
    whole, asked = lab_run.Bench.play, []

    def cancel_in_the_third(self: Any, half: Any, *more: Any) -> Any:
        asked.append(half.name)
        if len(asked) == 3:
            lab.cancel_backtest(backtest=lab.backtest_of(project.pk, backtest.pk))
            monkeypatch.setattr("annotator.jobs.services.PROGRESS_EVERY", 0.0)
        return whole(self, half, *more)

    with monkeypatch.context() as patch:
        patch.setattr(lab_run.Bench, "play", cancel_in_the_third)
        run_job(job.pk)
    stopped = lab.backtest_of(project.pk, backtest.pk)
    assert (stopped.state, stopped.runs.count(), stopped.result["runs"]) == ("cancelled", 2, 2)
    with pytest.raises(Conflict, match="does not run"):
        lab.cancel_backtest(backtest=stopped)
    run_job(lab.resume_backtest(backtest=stopped, by=None).pk)
    done = lab.backtest_of(project.pk, backtest.pk)
    assert (done.state, done.runs.count()) == ("done", 6)
    with pytest.raises(Conflict, match="complete"):
        lab.resume_backtest(backtest=done, by=None)


def test_rounds_that_wait_go_first() -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    start_job(kind="round", project_id=None, created_by=None, queue="gpu", params={"round": 0})
    assert backtest.job is not None
    run_job(backtest.job.pk)
    first = Job.objects.get(pk=backtest.job.pk)
    assert first.result["made_room"] is True
    again = lab.backtest_of(project.pk, backtest.pk)
    assert (again.state, again.runs.count()) == ("running", 1)
    Job.objects.filter(kind="round").delete()
    run_jobs(project, lab.BACKTEST_JOB)
    assert lab.backtest_of(project.pk, backtest.pk).state == "done"


def test_a_strategy_that_crashes_is_left_out_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    project = labelled()
    interrupt(monkeypatch, 0, ZeroDivisionError("no mass left"))
    backtest = play(project, strategies=["margin", "entropy"])
    assert backtest.state == "done"
    told = {row["name"]: row for row in backtest.result["strategies"]}
    assert told["margin"]["error"] == "ZeroDivisionError: no mass left"
    assert told["margin"]["area"] is None
    assert backtest.runs.filter(name="margin").count() == 1
    assert {(row["first"], row["second"]) for row in backtest.result["verdicts"]} == {("entropy", "random")}
    page = client_of(project).get(reverse("learning:backtest", args=[project.pk, backtest.pk]))
    assert "no mass left" in page.content.decode()


def test_features_that_are_gone_fail_it_with_a_reason() -> None:
    project = labelled()
    backtest = lab.start_backtest(project=project, by=None, values=QUICK)
    Backtest.objects.filter(pk=backtest.pk).update(settings=backtest.settings | {"encoder_digest": "0" * 64})
    assert backtest.job is not None
    run_job(backtest.job.pk)
    failed = lab.backtest_of(project.pk, backtest.pk)
    assert failed.state == "failed"
    assert failed.job is not None
    assert "features" in failed.job.error


# What it plans


def pretend(backtest: Backtest, name: str, seed: int, area: float, **fields: Any) -> None:
    BacktestRun.objects.create(
        backtest=backtest, name=name, seed=seed, **({"labels": [10, 20], "scores": [area, area]} | fields)
    )


def test_what_is_decided_at_the_first_look_runs_no_more() -> None:
    backtest = planned(labelled())
    assert next_runs(backtest, [])[:3] == [("margin", 0), ("random", 0), ("margin", 1)]
    assert most_left(backtest, []) == 20
    for seed in range(5):
        pretend(backtest, "margin", seed, 0.9 + seed / 1000)
        pretend(backtest, "random", seed, 0.5 + seed / 1000)
    runs = list(backtest.runs.all())
    assert next_runs(backtest, runs) == []
    assert most_left(backtest, runs) == 0
    told = summary(backtest, runs)
    assert told["verdicts"][0]["text"] == "Margin is better than Random."
    assert told["advice"]["best"] == "margin"
    assert areas(runs)["margin"][2] == pytest.approx(0.902)


def test_what_is_not_decided_gets_another_block_of_seeds() -> None:
    backtest = planned(labelled(), strategies=["margin", "entropy"])
    for seed in range(5):
        pretend(backtest, "margin", seed, 0.9 + seed / 1000)
        pretend(backtest, "entropy", seed, 0.9 + (seed % 3) / 1000)
        pretend(backtest, "random", seed, 0.5 + seed / 1000)
    left = next_runs(backtest, list(backtest.runs.all()))
    assert {name for name, _ in left} == {"margin", "entropy"}
    assert {seed for _, seed in left} == set(range(5, 10))


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_have_no_interval(seeds: int) -> None:
    backtest = planned(labelled())
    for seed in range(seeds):
        pretend(backtest, "margin", seed, 0.9 + seed / 20)
        pretend(backtest, "random", seed, 0.5 + seed / 10)
    told = summary(backtest, list(backtest.runs.all()))
    margin = told["strategies"][0]
    for name in ("area", "final", "saved", "difference"):
        assert margin[name]["value"] is not None
        assert (margin[name]["low"], margin[name]["high"]) == (None, None)
    assert all(
        "low" not in point
        for series in chart(backtest, list(backtest.runs.all()))["series"]
        for point in series["points"]
    )
    # Nobody has looked at the pair.
    assert told["verdicts"][0]["difference"] is None
    Backtest.objects.filter(pk=backtest.pk).update(result=told)
    url = reverse("learning:backtest", args=[backtest.project_id, backtest.pk])
    page = client_of(backtest.project).get(url).content.decode()
    assert f'<td class="num">{100 * margin["area"]["value"]:.1f} %</td>' in page
    assert '<td class="num">–</td>' in page
    assert ">0.0 %<" not in page


def test_intervals_of_shares_end_where_shares_end() -> None:
    backtest = planned(labelled())
    for seed, area in enumerate((0.4, 0.99, 1.0)):
        pretend(backtest, "margin", seed, area)
        pretend(backtest, "random", seed, 1 - area)
    told = {row["name"]: row for row in summary(backtest, list(backtest.runs.all()))["strategies"]}
    assert told["margin"]["area"]["high"] == told["margin"]["final"]["high"] == 1.0
    assert told["random"]["area"]["low"] == told["random"]["final"]["low"] == 0.0


def test_how_long_it_takes_is_said_first_and_measured_later() -> None:
    project = labelled()
    _, guess, _ = lab.plan(project, QUICK)
    assert not guess.measured
    assert 0 < guess.low <= guess.high
    play(project)
    BacktestRun.objects.update(seconds=6.0)
    _, told, _ = lab.plan(project, QUICK | {"seeds": 10})
    assert told.measured
    # Two strategies, 2 s a step, three steps: five seeds at least, ten at most.
    assert (told.low, told.high) == (pytest.approx(60), pytest.approx(120))


def test_strategies_of_other_packages_are_timed_by_their_runs_in_any_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab_duration, "known_foreign", lambda: frozenset({"entropy", "margin"}))
    other = planned(labelled())
    pretend(other, "margin", 0, 0.9, seconds=18.0)  # two steps
    project = labelled()
    _, told, _ = lab.plan(project, QUICK | {"strategies": ["margin", "entropy"]})
    # Three steps of nine seconds; of the other foreign one nothing better is known.
    assert (told.runs["margin"], told.runs["entropy"]) == (pytest.approx(27), pytest.approx(27))
    assert told.runs["random"] < 3
    assert not told.measured
    BacktestRun.objects.all().delete()
    _, guess, _ = lab.plan(project, QUICK)
    assert guess.runs["margin"] == pytest.approx(guess.runs["random"] + 3 * lab_duration.FOREIGN_SECONDS)


def test_what_is_left_is_told_by_each_strategys_own_time() -> None:
    backtest = planned(labelled())
    assert backtest.job is not None
    assert lab_duration.seconds_left(backtest, []) is None  # it waits
    begun = timezone.now()
    backtest.job.started_at = begun
    backtest.estimate = {"runs": {"margin": 60.0, "random": 1.0}}
    assert lab_duration.seconds_left(backtest, [], now=begun) == pytest.approx(10 * 60 + 10 * 1)
    for seed in range(2):
        pretend(backtest, "random", seed, 0.5, seconds=2.0)
    runs = list(backtest.runs.all())
    ended = max(run.created_at for run in runs)
    left = lab_duration.seconds_left(backtest, runs, now=ended)
    # However quick the first runs were, the slow ones are still to come.
    assert left == pytest.approx(10 * 60 + 8 * 2)
    later = lab_duration.seconds_left(backtest, runs, now=ended + timedelta(seconds=20))
    assert later == pytest.approx(10 * 60 + 8 * 2 - 20)
    backtest.result = {"verdicts": [{"first": "margin", "second": "random", "decision": "larger"}]}
    # What is decided plays its first five seeds only.
    assert lab_duration.seconds_left(backtest, runs, now=ended) == pytest.approx(5 * 60 + 3 * 2)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"strategies": ["nonsense"]}, "unfit_strategy"),
        ({"strategies": [{"key": "margin", "params": {"x": 1}}]}, "invalid_parameter"),
        ({"strategies": ["margin", "margin"]}, "same_name"),
        ({"strategies": ["random"]}, "unfit_strategies"),
        ({"seeds": 4}, "unfit_seeds"),
        ({"budget": 5000}, "unfit_budget"),
        ({"budget": 5}, "unfit_budget"),
    ],
)
def test_plans_that_do_not_fit_are_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        lab.plan(labelled(), QUICK | values)
    assert caught.value.code == code


def test_two_variants_of_one_strategy_run_under_names_of_their_own() -> None:
    project = labelled(classes=("cat", "dog", "cow"), task="multi")
    variants = [
        {"key": "margin", "name": reduction, "params": {"reduction": reduction}}
        for reduction in ("max", "mean")
    ]
    settings, _, _ = lab.plan(project, QUICK | {"strategies": variants})
    assert [each["name"] for each in settings["strategies"]] == ["max", "mean", "random"]


def test_counts_say_what_can_be_replayed() -> None:
    counts = Counts(labels=500, judges=200, how="random")
    assert (counts.held_out, counts.pool("all"), counts.pool("random")) == (100, 400, 100)


def test_only_one_backtest_of_a_project_runs() -> None:
    project = labelled()
    lab.start_backtest(project=project, by=None, values=QUICK)
    with pytest.raises(Conflict) as caught:
        lab.start_backtest(project=project, by=None, values=QUICK)
    assert caught.value.code == "backtest_active"
