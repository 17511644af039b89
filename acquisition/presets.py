"""Presets: named ways to choose what is labelled, each readable here as data.

A preset begins in one way (while labels are few), goes on in another, and names alternatives best first: what is not
installed, or needs what a project does not have, gives way to the next, and the ranking says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from acquisition import params as parameters
from acquisition.composition import Composition, Term, strategy_of, title_of
from acquisition.errors import StrategyError, UnknownStrategyError
from acquisition.ranking import Note

Stage = Literal["start", "then"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to begin, and how to go on from so many labels per class; of each the first that can be used.

    `judged`: of `then`, the one that a comparison on the project's own labels favours comes first. `strict`: the first
    is meant, and no other: what cannot be used is an error.
    """

    start: tuple[Composition, ...]
    then: tuple[Composition, ...]
    labels_per_class: int
    judged: bool = False
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset says about itself, and the plan that its parameters make."""

    key: str
    title: str
    advice: str
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plan: Callable[..., Plan]

    def plan_of(self, params: Mapping[str, Any]) -> Plan:
        """ParameterError for a parameter that is unknown or out of range."""
        return self.plan(**parameters.validate(self.params, params))


@dataclass(frozen=True, kw_only=True)
class State:
    """What decides between the ways of a plan: labels so far, classes, kind of task, signals that can be had.

    favourite: the strategy that a comparison on the project's own labels favours, '' before there was one.
    """

    labels: int
    classes: int
    task: str
    signals: frozenset[str]
    favourite: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The composition to use now, the stage it belongs to, and why it is not the first, if so."""

    composition: Composition
    stage: Stage
    notes: tuple[Note, ...] = ()


def choose(plan: Plan, state: State) -> Choice:
    """The stage by the number of labels (the first one too while there is no model), then what can be used of it.

    StrategyError where nothing can, UnknownStrategyError where a strict plan names what is not there.
    """
    stage: Stage = "then"
    if state.labels < plan.labels_per_class * state.classes or "proba" not in state.signals:
        stage = "start"
    ways = plan.start if stage == "start" else _by_favour(plan, state.favourite)
    refused: list[str] = []
    for way in ways:
        if not (why := _refusal(way, state, strict=plan.strict)):
            # The first was wanted; why those between would not do either is of no use to anybody.
            said = f"{refused[0]} {title_of(way)} is used." if refused else ""
            notes = (Note("fell-back", said),) if said else ()
            return Choice(composition=way, stage=stage, notes=notes)
        refused.append(why)
    raise StrategyError(" ".join(refused) or "The plan names no strategy.")


def get(key: str) -> Preset:
    """UnknownStrategyError lists the presets that exist."""
    if key not in PRESETS:
        raise UnknownStrategyError(key, PRESETS)
    return PRESETS[key]


def single(strategy: str, params: Mapping[str, Any] | None = None, **options: Any) -> Composition:
    """One strategy with these options."""
    return Composition(terms=(Term(strategy=strategy, params=params or {}),), options=options)


def _by_favour(plan: Plan, favourite: str) -> tuple[Composition, ...]:
    """The favoured one first, the others as they are."""
    if not plan.judged or not favourite:
        return plan.then
    return tuple(sorted(plan.then, key=lambda way: way.terms[0].strategy != favourite))


def _refusal(way: Composition, state: State, *, strict: bool) -> str:
    """Why this composition cannot be used here, '' when it can."""
    try:
        strategy, _ = strategy_of(way)
    except UnknownStrategyError as error:
        if strict:
            raise
        return f"'{error.key}' is not installed here."
    if state.task not in strategy.spec.tasks:
        return f"{title_of(way)} is not for this kind of task."
    if missing := strategy.spec.needs - state.signals:
        return f"{title_of(way)} needs {', '.join(sorted(missing))}, which there is not yet."
    return ""


_UNTIL: Mapping[str, Any] = {
    "type": "integer",
    "default": 10,
    "minimum": 0,
    "maximum": 1_000,
    "title": "Labels per class to begin with",
    "description": "While there are fewer labels than so many times the classes, typical items are chosen. 0: only "
    "until there is a model.",
}
_TYPICAL = (single("typicality"), single("graph_cut"), single("kmeans"), single("random"))


def _automatic(*, labels_per_class: int, start: str) -> Plan:
    first = tuple(sorted(_TYPICAL, key=lambda way: way.terms[0].strategy != start))
    return Plan(
        start=first,
        then=(single("margin"), single("badge"), single("random")),
        labels_per_class=labels_per_class,
        judged=True,
    )


def _rare_classes(*, labels_per_class: int, candidates: float) -> Plan:
    return Plan(
        start=_TYPICAL,
        then=(single("margin", balance=True, balance_candidates=candidates), single("random")),
        labels_per_class=labels_per_class,
    )


def _many_outliers(*, labels_per_class: int, max_outlier: float) -> Plan:
    return Plan(
        start=_TYPICAL,
        then=(
            single("outlier_variation_ratio"),
            single("margin", max_outlier=max_outlier),
            single("random"),
        ),
        labels_per_class=labels_per_class,
    )


def _noisy_annotators(*, labels_per_class: int, typical: float) -> Plan:
    together = (Term(strategy="margin"), Term(strategy="typicality", strength=typical))
    return Plan(
        start=_TYPICAL,
        then=(Composition(terms=together), single("margin"), single("random")),
        labels_per_class=labels_per_class,
    )


def _tight_budget(*, labels_per_class: int, cost_exponent: float, max_similarity: float) -> Plan:
    together = (Term(strategy="margin"), Term(strategy="typicality", strength=0.5))
    options = {"max_similarity": max_similarity}
    return Plan(
        start=(single("typicality", max_similarity=max_similarity), *_TYPICAL),
        then=(
            Composition(terms=together, options={**options, "cost_exponent": cost_exponent}),
            Composition(terms=together, options=options),
            single("margin"),
            single("random"),
        ),
        labels_per_class=labels_per_class,
    )


_EVERY = (
    Preset(
        key="automatic",
        title="Automatic",
        advice="Use it unless you know better: typical items while labels are few, then the items between two classes, by "
        "margin or by BADGE, whichever a comparison on your own labels favours.",
        params={
            "labels_per_class": _UNTIL,
            "start": {
                "type": "string",
                "enum": ["typicality", "graph_cut", "kmeans"],
                "default": "typicality",
                "title": "Begin with",
                "description": "What is not installed gives way to the next.",
            },
        },
        plan=_automatic,
    ),
    Preset(
        key="rare_classes",
        title="Rare classes",
        advice="Use it when some classes come up far less often than others and all of them matter: of the items worth "
        "asking about, those come first whose expected class has fewest labels.",
        params={
            "labels_per_class": _UNTIL,
            "candidates": {
                "type": "number",
                "default": 0.1,
                "minimum": 0.001,
                "maximum": 1,
                "title": "Candidates",
                "description": "Share of the items among which the classes are balanced, at most twenty batches.",
            },
        },
        plan=_rare_classes,
    ),
    Preset(
        key="many_outliers",
        title="Many outliers",
        advice="Use it when many items belong to none of your classes. Mark one class as outlier, and label such items "
        "with it: once there are some, items that look like them are kept back.",
        params={
            "labels_per_class": _UNTIL,
            "max_outlier": {
                "type": "number",
                "default": 0.5,
                "minimum": 0,
                "maximum": 1,
                "title": "Largest outlier probability",
                "description": "Where no committee can be asked: items that more probably are outliers come last.",
            },
        },
        plan=_many_outliers,
    ),
    Preset(
        key="noisy_annotators",
        title="Noisy annotators",
        advice="Use it when answers are often wrong: doubtful items are chosen where others are like them, so that one "
        "wrong answer is outvoted by its neighbours. Let two or three people answer each item (project settings).",
        params={
            "labels_per_class": _UNTIL,
            "typical": {
                "type": "number",
                "default": 1.0,
                "minimum": 0.1,
                "maximum": 10,
                "title": "Weight of being typical",
                "description": "Larger values prefer items that many others are like over doubtful ones.",
            },
        },
        plan=_noisy_annotators,
    ),
    Preset(
        key="tight_budget",
        title="Tight budget",
        advice="Use it when there is time for few labels only: typical items for longer, no near-duplicates, and worth "
        "per second where the cost of an item is known.",
        params={
            "labels_per_class": {**_UNTIL, "default": 20},
            "cost_exponent": {
                "type": "number",
                "default": 1.0,
                "minimum": 0.1,
                "maximum": 4,
                "title": "Weight of cost",
                "description": "1: worth per second; less lets dear items in sooner.",
            },
            "max_similarity": {
                "type": "number",
                "default": 0.97,
                "minimum": 0,
                "maximum": 1,
                "title": "Largest similarity",
                "description": "Items more alike (cosine of their features) count as near-duplicates.",
            },
        },
        plan=_tight_budget,
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.key: preset for preset in _EVERY})
DEFAULT = "automatic"
