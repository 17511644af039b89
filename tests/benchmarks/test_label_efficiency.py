"""The benchmark replays the product's loop, and its summary says no more than the runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.simulate import plan_of, replay
from annotator.learning.lab_head import LabHead
from annotator.learning.models import LearningSettings
from benchmarks import datasets, label_efficiency
from benchmarks.label_efficiency import Case, Curve, Settings, measure, summary
from models_zoo import tuning
from models_zoo.head import fit_head

CLASSES = ("a", "b", "c")


def make_case(rows: int = 160, *, spread: float = 0.6) -> Case:
    """Three overlapping groups in ten dimensions."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(3, 10))
    targets = rng.integers(0, 3, rows + 90)
    features = (centres[targets] + spread * rng.normal(size=(rows + 90, 10))).astype(np.float16)
    return Case("tiny", CLASSES, features[:rows], targets[:rows], features[rows:], targets[rows:])


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case()


@pytest.fixture(scope="module")
def lines(case: Case) -> list[dict[str, Any]]:
    """What two strategies and two seeds print."""
    return list(measure(case, ["random", "margin"], 2, Settings(batch=10, labels=30)))


def curve(*accuracy: float) -> Curve:
    return Curve(np.arange(10, 10 * len(accuracy) + 1, 10), np.array(accuracy))


def pick(rows: Any, **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in rows if wanted.items() <= row.items()]


def test_each_line_names_benchmark_case_metric_value_and_unit(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert line["benchmark"] == "label_efficiency"
        assert line["case"] == "tiny"
        assert {"metric", "value", "unit"} <= line.keys()
        json.dumps(line, allow_nan=False)


def test_the_first_line_says_what_was_measured_and_how(lines: list[dict[str, Any]]) -> None:
    first = lines[0]
    assert first["metric"] == "full"
    assert (first["train"], first["pool"], first["test"], first["classes"]) == (160, 160, 90, 3)
    assert (first["batch"], first["labels"], first["cold"]) == (10, 30, "typicality")
    assert first["value"] > 0.8


def test_every_run_has_its_curve_and_its_numbers(lines: list[dict[str, Any]]) -> None:
    for strategy in ("random", "margin"):
        for seed in (0, 1):
            run = pick(lines, strategy=strategy, seed=seed)
            assert [row["labels"] for row in pick(run, metric="accuracy")] == [10, 20, 30]
            assert {row["metric"] for row in run} == {
                "accuracy",
                "area",
                "labels_to_95",
                "labels_to_99",
                "time",
            }


def test_the_summary_is_the_mean_of_the_runs(lines: list[dict[str, Any]]) -> None:
    runs = [row["value"] for row in lines if row["metric"] == "area" and "seed" in row]
    margin = runs[1::2]
    (told,) = pick(lines, metric="area", strategy="margin", seeds=2)
    assert told["value"] == pytest.approx(np.mean(margin), abs=1e-4)
    assert told["difference"] == pytest.approx(np.mean(margin) - np.mean(runs[::2]), abs=2e-4)
    assert told["difference_low"] <= told["difference"] <= told["difference_high"]


def test_the_same_seed_gives_the_same_lines_but_for_the_time(case: Case, lines: list[dict[str, Any]]) -> None:
    again = list(measure(case, ["margin"], 1, Settings(batch=10, labels=30)))

    def run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in pick(rows, strategy="margin", seed=0) if row["metric"] != "time"]

    assert run(again) == run(lines) != []


def test_differences_are_paired_by_seed() -> None:
    runs = {
        "random": [curve(0.2, 0.4), curve(0.6, 0.8)],
        "margin": [curve(0.3, 0.5), curve(0.7, 0.9)],
    }
    (area,) = pick(summary(runs, full=1.0), metric="area", strategy="margin")
    assert (area["difference_low"], area["difference"], area["difference_high"]) == (0.1, 0.1, 0.1)
    assert area["low"] < area["value"] < area["high"]
    (late,) = pick(summary(runs, full=1.0), metric="accuracy", strategy="margin", labels=20)
    assert (late["value"], late["difference"]) == (0.7, 0.1)


def test_the_baseline_is_compared_with_nothing_and_may_be_absent() -> None:
    rows = list(summary({"random": [curve(0.5)]}, full=1.0))
    assert not any("difference" in row for row in rows)
    rows = list(summary({"margin": [curve(0.5)]}, full=1.0))
    assert rows[0]["value"] == 0.5
    assert not any("difference" in row for row in rows)


def test_a_level_that_a_seed_does_not_reach_has_no_mean() -> None:
    runs = {"random": [curve(0.5, 0.9), curve(0.5, 0.98)], "margin": [curve(0.96, 0.97), curve(0.5, 1.0)]}
    rows = list(summary(runs, full=1.0))
    (random,) = pick(rows, metric="labels_to_95", strategy="random")
    assert (random["value"], random["reached"], random["seeds"]) == (None, 1, 2)
    (margin,) = pick(rows, metric="labels_to_95", strategy="margin")
    assert margin["value"] == pytest.approx((10 + 19) / 2)
    assert "difference" not in margin


def test_the_defaults_are_those_of_a_new_project() -> None:
    product = LearningSettings()
    ours = Settings()
    assert ours.cold == product.cold_strategy
    assert ours.randomness == product.randomness
    assert ours.share == product.exploration_share
    assert ours.batch == product.retrain_labels == product.batch_size


def test_every_plan_and_default_strategy_exists() -> None:
    assert set(label_efficiency.PLANS) == set(datasets.NAMES)
    for key in (*label_efficiency.STRATEGIES.split(","), label_efficiency.BASELINE):
        assert plan_of(key, Settings().cold).then


@pytest.mark.parametrize(
    "strategy", ["automatic", "bald", "contrastive_active", "many_outliers", "tight_budget"]
)
def test_presets_and_strategies_on_every_signal_are_replayed(case: Case, strategy: str) -> None:
    found = label_efficiency.learn(case, strategy, 0, Settings(batch=20, labels=60))
    assert found.labels.tolist() == [20, 40, 60]
    assert found.accuracy[-1] > 0.6


def test_runs_of_before_are_not_repeated(
    case: Case, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[str, int]] = []

    def learn(_case: Case, strategy: str, seed: int, _settings: Settings) -> Curve:
        played.append((strategy, seed))
        return curve(0.1, 0.2, 0.3)

    monkeypatch.setattr(label_efficiency, "learn", learn)
    settings = Settings(batch=10, labels=30)
    cut_off = lines[: lines.index(pick(lines, metric="time", strategy="margin", seed=1)[0])]
    again = list(measure(case, ["random", "margin"], 2, settings, cut_off))
    assert played == [("margin", 1)]
    for run in ({"seed": 0}, {"strategy": "random", "seed": 1}):
        for metric in ("accuracy", "time"):
            assert pick(again, metric=metric, **run) == pick(cut_off, metric=metric, **run) != []
    list(measure(case, ["random"], 1, Settings(batch=10, labels=20), lines))
    assert played[1:] == [("random", 0)]


def test_the_head_is_tuned_by_the_rule_of_the_product_and_never_on_the_random_share(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned_on: list[int] = []
    tune = tuning.tune_head

    def watch(*arguments: Any, tune_mask: Any, **rest: Any) -> Any:
        tuned_on.append(int(tune_mask.sum()))
        return tune(*arguments, tune_mask=tune_mask, **rest)

    monkeypatch.setattr(tuning, "tune_head", watch)
    head = LabHead(CLASSES, seed=0)
    for labels in (40, 44, 60):
        share = np.arange(labels) % 4 == 0
        head(case.features[:labels], case.targets[:labels], [], share)
    assert tuned_on == [30, 45]
    assert head.tuning is not None
    assert head.tuning["labels"] == 45


def test_the_head_predicts_what_a_cold_fit_would() -> None:
    case = make_case(spread=2.5)  # where groups can be told apart entirely, many heads are nearly as good
    head = LabHead(CLASSES, seed=0)
    nobody = np.zeros(80, dtype=bool)
    for labels in (40, 80):
        (proba,) = head(case.features[:labels], case.targets[:labels], [case.test_features], nobody[:labels])
    assert head.tuning is not None
    alone = fit_head(
        case.features[:80].astype(np.float32),
        case.targets[:80],
        CLASSES,
        strength=head.tuning["strength"],
        temperature=head.tuning["temperature"],
    )
    np.testing.assert_allclose(proba, alone.predict_proba(case.test_features), atol=2e-2)


def test_a_smaller_pool_is_a_random_part_and_the_test_part_stays(case: Case) -> None:
    part = case.part(50)
    assert part.features.shape == (50, 10)
    assert part.targets.tolist() == case.part(50).targets.tolist()
    assert part.test_targets is case.test_targets
    assert case.part(0) is case.part(10_000) is case


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"beta": 4.0, "share": 0.1, "jointly": 100}),
        ({"randomness": 0.0, "share": 0.0}, {"beta": None, "share": 0.0}),
    ],
)
def test_the_replay_serves_as_the_settings_say(
    case: Case, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {}

    def watch(**given: Any) -> Any:
        asked.update(given)
        return replay(**given)

    monkeypatch.setattr(label_efficiency, "replay", watch)
    found = label_efficiency.learn(case, "margin", 0, Settings(batch=10, labels=25, **changes))
    assert expected.items() <= asked.items()
    assert found.labels.tolist() == [10, 20]


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Two data sets whose features need no encoder, one of them absent."""

    def load_case(name: str, _cache: Path) -> Case:
        if name == "trec":
            raise datasets.DataMissing("The data set 'trec' is not here.")
        return case

    monkeypatch.setattr(label_efficiency, "load_case", load_case)


@pytest.mark.usefixtures("cached")
def test_the_command_prints_json_lines_and_goes_on_past_absent_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    label_efficiency.main(
        ["--data", "trec,agnews", "--strategies", "random,kmeans", "--seeds=1", "--labels=40", "--batch=20"]
    )
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert "trec" in printed.err
    assert {line.get("strategy") for line in lines} == {None, "random", "kmeans"}
    assert [line["labels"] for line in pick(lines, metric="accuracy", strategy="kmeans", seed=0)] == [20, 40]


@pytest.mark.usefixtures("cached")
def test_options_change_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    label_efficiency.main(
        ["--data=agnews", "--strategies=random", "--seeds=1", "--labels=10", "--batch=5", "--pool=90"]
        + ["--cold=kmeans", "--randomness=0", "--share=0.5"]
    )
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["train"] == 160
    changed = {"batch": 5, "labels": 10, "pool": 90, "cold": "kmeans", "randomness": 0.0, "share": 0.5}
    assert changed.items() <= first.items()


def test_the_benchmark_needs_no_django() -> None:
    code = "import sys, benchmarks.label_efficiency; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=datasets.ROOT
    )
    assert done.stdout.strip() == "False"
