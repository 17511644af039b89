"""Presets: readable plans that give way in sight where something is not there."""

from dataclasses import replace

import numpy as np
import pytest

from acquisition import params, presets, registry
from acquisition.check import example
from acquisition.composition import strategy_of
from acquisition.errors import ParameterError, StrategyError, UnknownStrategyError
from acquisition.presets import PRESETS, Plan, State, single
from acquisition.ranking import rank_by_utility
from acquisition.registry import StrategySpec, strategy

WARM = frozenset({"features", "proba"})


def state(labels=0, *, signals=WARM, task="single", classes=4, favourite=""):
    return State(labels=labels, classes=classes, task=task, signals=signals, favourite=favourite)


def choose(key="automatic", at=None, **values):
    return presets.choose(presets.get(key).plan_of(values), at or state())


def names(choice):
    return [term.strategy for term in choice.composition.terms]


@pytest.fixture
def with_strategies(monkeypatch):
    """Makes strategies of these keys, with these needs, exist besides those that do."""

    def add(**needs):
        found, failures = registry._loaded()
        more = {}
        for key, needed in needs.items():
            spec = StrategySpec(
                key=key, title=key.title(), advice="Use it in tests.", needs=frozenset(needed)
            )
            more[key] = strategy(spec)(lambda pool, labeled, n, rng: rank_by_utility(pool, -pool.ids, n, rng))
        monkeypatch.setattr(registry, "_loaded", lambda: (found | more, failures))

    return add


@pytest.fixture
def without_strategies(monkeypatch):
    def remove(*keys):
        found, failures = registry._loaded()
        kept = {key: one for key, one in found.items() if key not in keys}
        monkeypatch.setattr(registry, "_loaded", lambda: (kept, failures))

    return remove


@pytest.mark.parametrize("key", PRESETS)
def test_every_preset_describes_itself_and_works_with_its_defaults(key):
    preset = PRESETS[key]
    params.check_properties(preset.params)
    assert preset.advice.startswith("Use it ")
    for signals in (frozenset(), {"features"}, WARM, WARM | {"cost", "draws"}):
        for labels in (0, 10_000):
            for task in ("single", "multi"):
                at = state(labels, signals=frozenset(signals), task=task)
                found, given = strategy_of(choose(key, at).composition)
                pool, labeled = example(40, task=task, signals=frozenset(signals), labeled=5)
                assert len(found.select(pool, labeled, 10, np.random.default_rng(0), **given)) == 10


def test_automatic_is_the_default_and_turns_at_ten_labels_a_class():
    assert presets.DEFAULT == "automatic"
    assert (choose(at=state(39)).stage, names(choose(at=state(39)))) == ("start", ["typicality"])
    assert (choose(at=state(40)).stage, names(choose(at=state(40)))) == ("then", ["margin"])
    assert choose(at=state(7), labels_per_class=2).stage == "start"
    assert choose(at=state(8), labels_per_class=2).stage == "then"


def test_without_a_model_it_goes_on_as_it_starts():
    assert choose(at=state(1_000, signals=frozenset({"features"}))).stage == "start"
    assert choose(at=state(1_000, signals=frozenset({"features"})), labels_per_class=0).stage == "start"
    assert choose(at=state(1), labels_per_class=0).stage == "then"


def test_the_favourite_of_a_comparison_is_used_where_it_can_be(with_strategies, without_strategies):
    without_strategies("badge")
    fallen = choose(at=state(99, favourite="badge"))
    assert names(fallen) == ["margin"]
    assert [note.message for note in fallen.notes] == ["'badge' is not installed here. Margin is used."]
    with_strategies(badge={"proba", "features"})
    found = choose(at=state(99, favourite="badge"))
    assert (names(found), found.notes) == (["badge"], ())
    assert names(choose(at=state(99, favourite="margin"))) == ["margin"]
    assert names(choose(at=state(99))) == ["margin"]
    # Only presets that ask for it follow a comparison.
    assert names(choose("rare_classes", state(99, favourite="badge"))) == ["margin"]


def test_what_is_not_installed_gives_way_in_sight(without_strategies, with_strategies):
    without_strategies("graph_cut", "outlier_variation_ratio")
    fallen = choose(start="graph_cut")
    assert names(fallen) == ["typicality"]
    assert fallen.notes[0].code == "fell-back"
    assert "'graph_cut' is not installed here. Typicality (TypiClust) is used." in fallen.notes[0].message
    outliers = choose("many_outliers", state(99), max_outlier=0.3)
    assert (names(outliers), outliers.composition.options["max_outlier"]) == (["margin"], 0.3)
    with_strategies(graph_cut={"features"})
    assert names(choose(start="graph_cut")) == ["graph_cut"]


def test_what_a_project_does_not_have_gives_way_too():
    choice = choose("tight_budget", state(999))
    assert choice.composition.options["cost_exponent"] == 0
    assert "needs cost, which there is not yet" in choice.notes[0].message
    rich = choose("tight_budget", state(999, signals=WARM | {"cost"}))
    assert (rich.composition.options["cost_exponent"], rich.notes) == (1.0, ())


def test_rare_classes_balance_and_noise_asks_for_typical_items():
    rare = choose("rare_classes", state(99), candidates=0.3).composition
    assert (rare.options["balance"], rare.options["balance_candidates"]) == (True, 0.3)
    noisy = choose("noisy_annotators", state(99), typical=2.5).composition
    assert [(term.strategy, term.strength) for term in noisy.terms] == [("margin", 1.0), ("typicality", 2.5)]


def test_a_strict_plan_means_what_it_says():
    plan = Plan(start=(single("kmeans"),), then=(single("nonsense"),), labels_per_class=0, strict=True)
    with pytest.raises(UnknownStrategyError):
        presets.choose(plan, state(5))
    with pytest.raises(StrategyError, match="k-means needs features"):
        presets.choose(plan, state(signals=frozenset()))
    loose = replace(plan, then=(single("nonsense"), single("random")), strict=False)
    assert names(presets.choose(loose, state(5))) == ["random"]


def test_parameters_are_checked():
    with pytest.raises(ParameterError, match="labels_per_class"):
        presets.get("automatic").plan_of({"labels_per_class": -1})
    with pytest.raises(UnknownStrategyError, match="automatic"):
        presets.get("magic")
