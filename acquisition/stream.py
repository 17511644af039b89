"""Streams: of items that arrive one by one, which are worth a label, within a budget.

A decision changes nothing: `decide(rule, state, utility)` says whether to ask, `update` gives the state after it. Both
are pure, the state is JSON, and chance comes from its seed and the number of items seen, so that asking twice gives one
answer. Labels may come long after (`learn`): they only serve to find drift.

Spending: u <- u (w-1)/w + asked; an item may be asked about only while u/w < budget. Source: Zliobaite et al. 2014,
'Active learning with drifting streaming data'; quantiles: Kottke, Krempl and Spiliopoulou 2015, 'Probabilistic active
learning in datastreams' (BIQF).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from acquisition import params as parameters
from acquisition.errors import ParameterError, UnknownStrategyError

# Of the last items this many tell what was spent, and which utilities are usual.
WINDOW, TOLERANCE = 100, 50
# Drift is looked for in two windows of so many labels of items asked about at random.
DRIFT_WINDOW, DRIFT_DEVIATIONS = 30, 3.0
ALARM_ITEMS, ALARM_EXPLORATION = 1_000, 3.0  # after an alarm exploration is so much larger for so many items


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who decides (`manager`), the share of items that may be asked about, and the manager's parameters, validated."""

    manager: str
    budget: float
    classes: int
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.manager not in MANAGERS:
            raise UnknownStrategyError(self.manager, MANAGERS)
        if not 0 <= self.budget <= 1:
            raise ParameterError("budget", f"{self.budget} is not a share from 0 to 1.")
        if self.classes < 1:
            raise ParameterError("classes", f"{self.classes} is no number of classes.")
        object.__setattr__(self, "params", parameters.validate(MANAGERS[self.manager].params, self.params))


@dataclass(frozen=True, kw_only=True)
class State:
    """What a stream remembers: JSON by `as_json`, back by `from_json`.

    spent: u of above. theta: the moving threshold of confidence. utilities: the last ones, oldest first. errors: of labels
    of items asked about at random, oldest first. alarms: how many, and at which item the last one was (-1: never).
    """

    seed: int
    seen: int = 0
    asked: int = 0
    spent: float = 0.0
    theta: float = 1.0
    utilities: tuple[float, ...] = ()
    errors: tuple[int, ...] = ()
    alarms: int = 0
    alarmed_at: int = -1

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        return found | {"utilities": list(self.utilities), "errors": list(self.errors)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "State":
        """Unknown names are left out: a state may be older than this code."""
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        for name in ("utilities", "errors"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether to ask; whether chance said so, so that its label can tell of drift; and why, in a word and numbers."""

    ask: bool
    at_random: bool
    why: str
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class Manager:
    """A budget manager: what it says about itself, how it decides, and how its state moves."""

    key: str
    title: str
    advice: str
    params: Mapping[str, Mapping[str, Any]]
    decide: Callable[[Rule, State, float, np.random.Generator], Decision]
    adapts: bool = False


def decide(rule: Rule, state: State, confidence: float) -> Decision:
    """Ask about an item whose best guess has this probability? Changes nothing; the same question, the same answer."""
    if not 0 <= confidence <= 1 or math.isnan(confidence):
        raise ParameterError("confidence", f"{confidence} is not a probability.")
    rng = np.random.default_rng([state.seed, state.seen])
    return MANAGERS[rule.manager].decide(rule, state, confidence, rng)


def update(rule: Rule, state: State, confidence: float, decision: Decision) -> State:
    """The state after the item was decided about: before the next one, whenever its label comes."""
    theta = state.theta
    if MANAGERS[rule.manager].adapts and not decision.at_random and _affordable(rule, state):
        step = rule.params["step"]
        # Without limits the threshold runs away while nothing is asked.
        theta = min(1.0, max(1 / rule.classes, theta * (1 - step if decision.ask else 1 + step)))
    return replace(
        state,
        seen=state.seen + 1,
        asked=state.asked + decision.ask,
        spent=state.spent * (WINDOW - 1) / WINDOW + decision.ask,
        theta=theta,
        utilities=(*state.utilities, 1 - confidence)[-WINDOW:],
    )


def learn(state: State, *, wrong: bool) -> tuple[State, bool]:
    """The state once the label of an item asked about at random is there, and whether that raises the alarm of drift.

    Of the last 60 such labels the newer half is compared with the older: an error rate above by more than three standard
    deviations is drift. The threshold starts anew then, and for a while more items are asked about at random.
    """
    errors = (*state.errors, int(wrong))[-2 * DRIFT_WINDOW :]
    if not drifted(errors):
        return replace(state, errors=errors), False
    return (
        replace(state, errors=(), theta=1.0, utilities=(), alarms=state.alarms + 1, alarmed_at=state.seen),
        True,
    )


def drifted(errors: tuple[int, ...]) -> bool:
    """Whether the newer half of two full windows errs more than chance explains."""
    if len(errors) < 2 * DRIFT_WINDOW:
        return False
    old, new = np.mean(errors[:DRIFT_WINDOW]), np.mean(errors[DRIFT_WINDOW:])
    pooled = (old + new) / 2
    deviation = math.sqrt(2 * pooled * (1 - pooled) / DRIFT_WINDOW)
    return bool(new - old > DRIFT_DEVIATIONS * deviation and new > old)


def exploring(rule: Rule, state: State) -> float:
    """Share of items that chance decides about: the rule's, for a while more after an alarm."""
    share = float(rule.params.get("exploration", 0.0))
    alarmed = state.alarmed_at >= 0 and state.seen < state.alarmed_at + ALARM_ITEMS
    return min(1.0, share * ALARM_EXPLORATION) if alarmed else share


def _affordable(rule: Rule, state: State) -> bool:
    return state.spent / WINDOW < rule.budget


def _random(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    if not _affordable(rule, state):
        return Decision(ask=False, at_random=True, why="spent")
    return Decision(ask=bool(rng.random() < rule.budget), at_random=True, why="chance")


def _chance(rule: Rule, rng: np.random.Generator) -> Decision:
    """The part that is left to chance spends a share of its own, or there would be none while the rest has spent all.

    What it spends the rest has less.
    """
    return Decision(ask=bool(rng.random() < rule.budget), at_random=True, why="chance")


def fixed_threshold(rule: Rule) -> float:
    """1/C + budget (1 - 1/C)."""
    return 1 / rule.classes + rule.budget * (1 - 1 / rule.classes)


def _fixed(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    return _below(rule, state, confidence, fixed_threshold(rule), inclusive=True)


def _variable(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    return _below(rule, state, confidence, state.theta)


def _randomised(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    return _below(rule, state, confidence, state.theta * float(rng.normal(1, rule.params["deviation"])))


def _split(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    if rng.random() < exploring(rule, state):
        return _chance(rule, rng)
    return _variable(rule, state, confidence, rng)


def _quantile(rule: Rule, state: State, confidence: float, rng: np.random.Generator) -> Decision:
    """Utility 1 - confidence against the quantile of the last ones, moved by what was spent too much or too little."""
    if rng.random() < exploring(rule, state):
        return _chance(rule, rng)
    utility = 1 - confidence
    # The item is among those by which it is judged, so that the first of a stream has something to be compared with.
    window = np.array((*state.utilities, utility)[-WINDOW:])
    spare = rule.budget * (state.seen + 1) - state.asked
    threshold = float(
        np.quantile(window, 1 - rule.budget) - (window.max() - window.min()) * spare / TOLERANCE
    )
    # The budget left decides together with the utility, so an exact count gates here, not the estimate of above.
    if rule.budget == 0 or spare <= 0:
        return Decision(ask=False, at_random=False, why="spent", threshold=threshold)
    return Decision(ask=utility >= threshold, at_random=False, why="quantile", threshold=threshold)


def _below(
    rule: Rule, state: State, confidence: float, threshold: float, *, inclusive: bool = False
) -> Decision:
    if not _affordable(rule, state):
        return Decision(ask=False, at_random=False, why="spent", threshold=threshold)
    ask = confidence <= threshold if inclusive else confidence < threshold
    return Decision(ask=ask, at_random=False, why="confidence", threshold=threshold)


_STEP: Mapping[str, Any] = {
    "type": "number",
    "default": 0.01,
    "minimum": 0.0001,
    "maximum": 0.5,
    "title": "Step",
    "description": "By how much the threshold falls with each item asked about, and rises with each passed over.",
}
_EXPLORATION: Mapping[str, Any] = {
    "type": "number",
    "default": 0.1,
    "minimum": 0,
    "maximum": 1,
    "title": "Exploration",
    "description": "Share of items that chance decides about, within the budget. Only their labels tell of drift.",
}

_EVERY = (
    Manager(
        key="split",
        title="Split",
        advice="Use it when the stream may change: a part is decided by chance, which finds what the model is sure of and "
        "wrong about; the rest by a threshold that moves with the budget.",
        params={"step": _STEP, "exploration": _EXPLORATION},
        decide=_split,
        adapts=True,
    ),
    Manager(
        key="variable_uncertainty",
        title="Variable uncertainty",
        advice="Use it when the stream stays as it is: the least sure items, by a threshold that moves with the budget.",
        params={"step": _STEP},
        decide=_variable,
        adapts=True,
    ),
    Manager(
        key="randomised_uncertainty",
        title="Randomised uncertainty",
        advice="Use it when items near the threshold should have a chance too.",
        params={
            "step": _STEP,
            "deviation": {
                "type": "number",
                "default": 1.0,
                "minimum": 0,
                "maximum": 5,
                "title": "Deviation",
                "description": "Standard deviation of the factor by which the threshold is moved for each item.",
            },
        },
        decide=_randomised,
        adapts=True,
    ),
    Manager(
        key="quantile",
        title="Quantile (BIQF)",
        advice="Use it when the budget must be kept closely: the most useful of the last hundred items.",
        params={"exploration": _EXPLORATION},
        decide=_quantile,
    ),
    Manager(
        key="fixed_uncertainty",
        title="Fixed uncertainty",
        advice="Use it when probabilities can be taken at their word: below a fixed one it asks, while the budget lasts.",
        params={},
        decide=_fixed,
    ),
    Manager(
        key="random",
        title="Random",
        advice="Use it as the baseline, or when labels should be representative of the stream.",
        params={},
        decide=_random,
    ),
)
MANAGERS: Mapping[str, Manager] = {manager.key: manager for manager in _EVERY}
