"""What a round ranks with: the preset's or the manager's own plan, read at the round's number of labels. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acquisition import presets
from acquisition.composition import Composition, Run, Term, run_directly, strategy_of, title_of
from acquisition.errors import AcquisitionError, ParameterError
from acquisition.presets import Plan, State
from acquisition.ranking import Note
from acquisition.registry import Strategy
from annotator.learning import catalogue
from annotator.learning.errors import RankingFailed
from annotator.learning.models import LearningSettings

NO_FEATURES = "The items have no features yet, so they come in random order."
HINT = "The previous ranking stays in use. Choose another strategy in the learning settings."


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The strategy to run with its parameters, what it is made of, and why it is not the first choice, if so.

    stage: 'start' while labels are few or there is no model, else 'then'.
    """

    strategy: Strategy
    params: dict[str, Any]
    composition: Composition
    stage: str
    preset: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def options(self) -> Mapping[str, Any]:
        return self.composition.options

    @property
    def title(self) -> str:
        return title_of(self.composition)

    @property
    def fell_back(self) -> str:
        return " ".join(note.message for note in self.notes if note.code == "fell-back")

    def used(self) -> dict[str, Any]:
        """For the round's record and every item it serves."""
        found: dict[str, Any] = {
            "key": self.strategy.spec.key,
            "version": self.strategy.spec.version,
            "params": self.params,
            "title": self.title,
            "stage": self.stage,
        }
        if self.preset:
            found["preset"] = self.preset
        if not self.composition.plain:
            found["composition"] = self.composition.as_json()
        return found


def choose(settings: Mapping[str, Any], state: State, *, run: Run = run_directly) -> Chosen:
    """What these settings (as a round's record has them) mean in this state; RankingFailed where nothing can be used."""
    preset = str(settings.get("preset") or "")
    try:
        plan = plan_of(settings)
        if plan.strict and _without_features(plan, state):
            return _random(run)
        found = presets.choose(plan, state)
        strategy, params = strategy_of(found.composition, run=run)
    except AcquisitionError as error:
        raise RankingFailed(str(error), hint=HINT) from error
    return Chosen(
        strategy=strategy,
        params=params,
        composition=found.composition,
        stage=found.stage,
        preset=preset,
        notes=found.notes,
    )


def plan_of(settings: Mapping[str, Any]) -> Plan:
    """The preset's plan, or the manager's own; AcquisitionError for parameters that do not fit."""
    if settings.get("preset"):
        return presets.get(str(settings["preset"])).plan_of(settings.get("preset_params") or {})
    warm, cold = settings["warm"], settings["cold"]
    then = composition_of(warm["key"], warm["params"], settings.get("composition") or {})
    # What needs a model does not apply to the start; near-duplicates are none with one either.
    start = presets.single(cold["key"], cold["params"], max_similarity=then.options["max_similarity"])
    return Plan(
        start=(start,), then=(then,), labels_per_class=int(settings.get("cold_labels", 0)), strict=True
    )


def composition_of(strategy: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Composition:
    """The strategy with what it is combined with; ParameterError for what cannot be read."""
    if not isinstance(more, Mapping) or not isinstance(more.get("terms", []), list):
        raise ParameterError("composition", "must be an object with a list of terms.")
    rest = Composition.from_json({**more, "terms": [{"strategy": strategy}, *more.get("terms", [])]})
    return Composition(terms=(Term(strategy=strategy, params=params), *rest.terms[1:]), options=rest.options)


def signals(*, model: bool, encoded: bool, more: frozenset[str] = frozenset()) -> frozenset[str]:
    """What a round can hand to a strategy: with a model everything, before it features where items have any."""
    if model:
        return catalogue.WARM_SIGNALS | more
    return catalogue.COLD_SIGNALS - (frozenset() if encoded else frozenset({"features"}))


def _without_features(plan: Plan, state: State) -> bool:
    """Whether the start needs features before any item has some, which time will mend."""
    if {"features", "proba"} & state.signals:
        return False
    strategy, _ = strategy_of(plan.start[0])
    return "features" in strategy.spec.needs


def _random(run: Run) -> Chosen:
    composition = presets.single("random")
    strategy, params = strategy_of(composition, run=run)
    notes = (Note("fell-back", NO_FEATURES),)
    return Chosen(strategy=strategy, params=params, composition=composition, stage="start", notes=notes)


def settings_json(chosen: LearningSettings) -> dict[str, Any]:
    """What the manager chose, as it stands in a round's record."""
    return {
        "encoder": chosen.encoder,
        "encoder_params": chosen.encoder_params,
        "preset": chosen.preset,
        "preset_params": chosen.preset_params,
        "composition": chosen.composition,
        "cold_labels": chosen.cold_labels,
        "item_filter": chosen.item_filter,
        "favourite": chosen.favourite,
        "warm": {"key": chosen.strategy, "params": chosen.strategy_params},
        "cold": {"key": chosen.cold_strategy, "params": chosen.cold_params},
        "batch_size": chosen.batch_size,
        "exploration_share": chosen.exploration_share,
        "randomness": chosen.randomness,
        "exploration_seed": chosen.seed,
        "task": catalogue.task_of(chosen.project),
    }
