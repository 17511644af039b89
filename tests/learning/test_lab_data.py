"""What the strategy lab works on, and what it plans to do with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotator.common.errors import Conflict, Invalid
from annotator.items.models import Item
from annotator.learning import lab
from annotator.learning.exploration import random_share
from annotator.learning.lab_data import Counts, LabLabels, count_labels, freeze_labels, unpack
from annotator.learning.lab_plan import areas, most_left, next_runs
from annotator.learning.lab_results import summary
from annotator.learning.models import Backtest, BacktestRun
from tests.factories import join, make_items
from tests.learning.lab_world import QUICK, labelled, planned, play
from tests.learning.world import answer_truly, encode, settings_of

pytestmark = pytest.mark.django_db


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
    assert told["verdicts"][0]["text"] == "margin is better than random."
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


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"strategies": ["nonsense"]}, "unfit_strategy"),
        ({"strategies": [{"key": "margin", "params": {"x": 1}}]}, "invalid-parameter"),
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
