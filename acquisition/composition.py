"""Compositions: strategies multiplied, weighed by cost, balanced over classes, filtered; as data that can be stored.

A composition becomes a strategy like any other (`strategy_of`), so that what runs one runs the other. Its hard filters
come first and belong to the caller (`acquisition.filters`), since they take rows out before any signal is computed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import filters, registry
from acquisition import params as parameters
from acquisition.arrays import Floats, Ints, take_rows, to_numpy
from acquisition.balance import PICKS, class_balance
from acquisition.errors import ParameterError
from acquisition.filters import FILTER_PARAMS, distinct
from acquisition.hashing import draw_seed
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order, rank_by_utility
from acquisition.registry import Strategy, StrategySpec

Doubles = npt.NDArray[np.float64]
# How a strategy is run: directly, or where a fault of it can do no harm.
Run = Callable[[Strategy, Pool, Labeled, int, np.random.Generator, Mapping[str, Any]], Ranking]

KEY = "composition"
MOST_TERMS = 5
# Of a ranking by utility so many times the batch are candidates at most; of a joint choice fewer, as each costs a pass.
MOST_CANDIDATES, JOINT_CANDIDATES, CAP = 20, 3, 5_000
PRODUCT_BATCH = 50

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "normalise": {
        "type": "string",
        "enum": ["rank", "range"],
        "default": "rank",
        "title": "Utilities are compared by",
        "description": "Rank among the items, whatever the scale, or place between the least and the largest.",
    },
    "cost_exponent": {
        "type": "number",
        "default": 0.0,
        "minimum": 0,
        "maximum": 4,
        "title": "Weight of cost",
        "description": "Utility is divided by seconds to this power: 0 ignores cost, 1 is worth per second.",
    },
    "balance": {
        "type": "boolean",
        "default": False,
        "title": "Balance the classes",
        "description": "Of the best candidates, take those whose expected class has fewest labels.",
    },
    "balance_candidates": {
        "type": "number",
        "default": 0.1,
        "minimum": 0.001,
        "maximum": 1,
        "title": "Candidates",
        "description": "Share of the items among which the classes are balanced, at most twenty batches.",
    },
    "balance_pick": {
        "type": "string",
        "enum": list(PICKS),
        "default": "best",
        "title": "Of each class",
        "description": "The best candidate, or any.",
    },
    "max_similarity": {
        "type": "number",
        "default": 1.0,
        "minimum": 0,
        "maximum": 1,
        "title": "Largest similarity",
        "description": "An item whose features are more alike (cosine) to a labelled one, or to one before it in the "
        "batch, is put off as a near-duplicate. 1: no filter.",
    },
    **FILTER_PARAMS,
}


@dataclass(frozen=True, kw_only=True)
class Term:
    """A strategy with its parameters; `strength` is the power to which its normalised utility is raised."""

    strategy: str
    params: Mapping[str, Any] = field(default_factory=dict)
    strength: float = 1.0

    def as_json(self) -> dict[str, Any]:
        return {"strategy": self.strategy, "params": dict(self.params), "strength": self.strength}


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Terms that are multiplied, and options: those of OPTIONS that differ from their defaults, or all.

    ParameterError at construction for an option that is unknown or out of range.
    """

    terms: tuple[Term, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.terms) <= MOST_TERMS:
            raise ParameterError("terms", f"There must be 1 to {MOST_TERMS} of them.")
        for term in self.terms:
            if not 0 < term.strength <= 10:
                raise ParameterError("strength", f"{term.strength} is not above 0 and up to 10.")
        options = parameters.validate(OPTIONS, self.options)
        if options["min_confidence"] > options["max_confidence"]:
            raise ParameterError("min_confidence", "is above the largest confidence.")
        object.__setattr__(self, "options", MappingProxyType(options))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Composition":
        """ParameterError for anything that is not what `as_json` gives."""
        terms = data.get("terms", ())
        if not isinstance(terms, Sequence) or isinstance(terms, str):
            raise ParameterError("terms", "must be a list.")
        if unknown := set(data) - {"terms", "options"}:
            raise ParameterError(sorted(unknown)[0], "is not known. Known: options, terms.")
        options = data.get("options", {})
        if not isinstance(options, Mapping):
            raise ParameterError("options", "must be an object.")
        return cls(terms=tuple(_term(term) for term in terms), options=options)

    def as_json(self) -> dict[str, Any]:
        """Terms, and the options that differ from their defaults."""
        changed = {name: value for name, value in self.options.items() if value != OPTIONS[name]["default"]}
        return {"terms": [term.as_json() for term in self.terms], "options": changed}

    def parts(self) -> list[tuple[parameters.Properties, Mapping[str, Any]]]:
        """Parameter schemas and values of each term: how its signals are to be made stands there."""
        return [(registry.get(term.strategy).spec.params, term.params) for term in self.terms]

    @property
    def plain(self) -> bool:
        """One strategy and nothing that changes its ranking."""
        return len(self.terms) == 1 and not (self._weighs_cost or self._jointly)

    @property
    def _weighs_cost(self) -> bool:
        return bool(self.options["cost_exponent"] > 0)

    @property
    def _jointly(self) -> bool:
        return bool(self.options["balance"] or self.options["max_similarity"] < 1)

    def needs(self) -> frozenset[str]:
        """Signals that the options need, besides those of the strategies."""
        needed = set(filters.needs_of(self.options))
        needed |= {"proba"} if self.options["balance"] else set()
        needed |= {"features"} if self.options["max_similarity"] < 1 else set()
        return frozenset(needed | ({"cost"} if self._weighs_cost else set()))


def run_directly(
    strategy: Strategy,
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    params: Mapping[str, Any],
) -> Ranking:
    return strategy.select(pool, labeled, n, rng, **params)


def strategy_of(composition: Composition, *, run: Run = run_directly) -> tuple[Strategy, dict[str, Any]]:
    """The composition as a strategy, and its parameters: a plain one is the registered strategy itself.

    UnknownStrategyError or ParameterError for a term that cannot be.
    """
    parts = tuple(registry.get(term.strategy) for term in composition.terms)
    checked = tuple(
        replace(term, params=parameters.validate(part.spec.params, term.params))
        for part, term in zip(parts, composition.terms, strict=True)
    )
    composition = replace(composition, terms=checked)
    if composition.plain:
        part = parts[0]
        plain = part if run is run_directly else replace(part, function=partial(_run_plain, part, run))
        return plain, dict(checked[0].params)
    tasks = frozenset.intersection(*(part.spec.tasks for part in parts))
    if not tasks:
        raise ParameterError("terms", "These strategies have no kind of task in common.")
    joint = len(parts) == 1 and parts[0].spec.batch_aware and not composition.options["cost_exponent"]
    spec = StrategySpec(
        key=KEY,
        title=title_of(composition),
        advice="Use it when one view of the items is not enough.",
        needs=composition.needs().union(*(part.spec.needs for part in parts)),
        tasks=tasks,
        batch_aware=joint
        or bool(composition.options["balance"] or composition.options["max_similarity"] < 1),
        version=max(part.spec.version for part in parts),
    )
    return Strategy(spec, partial(_select, composition, parts, run)), {}


def title_of(composition: Composition) -> str:
    """Words for people: 'Margin × Typicality^0.5, balanced'."""
    names = [
        registry.get(term.strategy).spec.title + (f"^{term.strength:g}" if term.strength != 1 else "")
        for term in composition.terms
    ]
    said = [" × ".join(names)]
    said += ["per second"] if composition.options["cost_exponent"] else []
    said += ["balanced"] if composition.options["balance"] else []
    said += ["no near-duplicates"] if composition.options["max_similarity"] < 1 else []
    return ", ".join(said)


def product(utilities: Sequence[Floats], strengths: Sequence[float], normalise: str) -> Doubles:
    """(n,): the product of normalised utilities, each raised to its strength.

    Normalised to 0..1, higher = label first: mean rank / n, or (u - min) / (max - min). Where one has no opinion (NaN)
    it counts as the middle; where none has one, neither has the product.
    """
    total = np.zeros(len(utilities[0]))
    for utility, strength in zip(utilities, strengths, strict=True):
        values = normalised(utility, normalise)
        with np.errstate(divide="ignore"):
            total += strength * np.log(np.where(np.isnan(values), 0.5, values))
    silent = np.all([np.isnan(utility) for utility in utilities], axis=0)
    return np.where(silent, np.nan, np.exp(total))


def normalised(utility: Floats, how: str) -> Doubles:
    """(n,) in 0..1 with NaN where there is no opinion; all alike are 0.5."""
    values = utility.astype(np.float64)
    known = ~np.isnan(values)
    opinions = values[known]
    if not len(opinions):
        return values
    if opinions.min() == opinions.max():
        values[known] = 0.5
    elif how == "range":
        values[known] = (opinions - opinions.min()) / (opinions.max() - opinions.min())
    else:
        values[known] = _mean_ranks(opinions) / len(opinions)
    return values


def per_cost(utility: Doubles, cost: Doubles, exponent: float) -> Doubles:
    """utility / cost^exponent (n,); cost counts beside its median, so that units do not matter. utility >= 0."""
    return np.asarray(utility / (cost / np.median(cost)) ** exponent, dtype=np.float64)


def _term(data: Any) -> Term:
    if not isinstance(data, Mapping) or not isinstance(data.get("strategy"), str):
        raise ParameterError("terms", "Each needs the key of a strategy.")
    if unknown := set(data) - {"strategy", "params", "strength"}:
        raise ParameterError("terms", f"'{sorted(unknown)[0]}' is not known.")
    params, strength = data.get("params", {}), data.get("strength", 1.0)
    if not isinstance(params, Mapping):
        raise ParameterError("params", "must be an object.")
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise ParameterError("strength", f"{strength!r} is not a number.")
    return Term(strategy=data["strategy"], params=dict(params), strength=float(strength))


def _run_plain(
    part: Strategy, run: Run, pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, **params: Any
) -> Ranking:
    return run(part, pool, labeled, n, rng, params)


def _select(
    composition: Composition,
    parts: Sequence[Strategy],
    run: Run,
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
) -> Ranking:
    """The product's ranking; then near-duplicates are put off and classes balanced among its first places."""
    options = composition.options
    wanted = _candidates(composition, parts, n, len(pool))
    ranking = _base(composition, parts, run, pool, labeled, wanted, rng)
    order, notes = ranking.order, list(ranking.notes)
    told: dict[int, int] = {}
    put_off = np.empty(0, dtype=np.int64)
    if options["max_similarity"] < 1:
        order, put_off = _without_duplicates(pool, labeled, ranking, options["max_similarity"])
        if len(put_off):
            message = f"{len(put_off):,} near-duplicates among the first {wanted:,} items are put off."
            notes.append(Note("near-duplicates", message, {"count": len(put_off), "seen": wanted}))
    if options["balance"]:
        order, told, more = _balanced(pool, labeled, ranking, order, n, options["balance_pick"], rng)
        notes += more
    if not (options["balance"] or options["max_similarity"] < 1):
        return ranking
    utility = ranking.utility.astype(np.float64)
    if len(put_off) and not np.isnan(utility).all():
        utility[ranking.positions(put_off)] = np.nanmin(utility)

    def explain(row: int) -> Mapping[str, Any]:
        reason = dict(ranking.explain(row)) if ranking.explain else {"kind": KEY}
        expected = told.get(int(pool.ids[row]))
        return reason if expected is None else {**reason, "for_class": expected}

    positions = ranking.positions(np.concatenate([order, put_off]))
    return rank_by_order(pool, positions, utility, n, rng, explain=explain, notes=notes)


def _candidates(composition: Composition, parts: Sequence[Strategy], n: int, size: int) -> int:
    """How many places of the product's ranking are looked at; random order is not chosen from, so it stays random."""
    options = composition.options
    if not (options["balance"] or options["max_similarity"] < 1) or parts[0].spec.key == "random":
        return min(n, size)
    joint = len(parts) == 1 and parts[0].spec.batch_aware
    most = min(CAP, n * (JOINT_CANDIDATES if joint else MOST_CANDIDATES))
    share = options["balance_candidates"] if options["balance"] else 1.0
    return min(size, max(n, min(most, int(share * size))))


def _base(
    composition: Composition,
    parts: Sequence[Strategy],
    run: Run,
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
) -> Ranking:
    """The ranking before near-duplicates and classes are looked at."""
    exponent = composition.options["cost_exponent"]
    terms = composition.terms
    alone = len(parts) == 1 and not exponent
    # Of a joint choice a product wants the utility only; for a small batch groups are large enough to mean something.
    few = min(n, PRODUCT_BATCH, max(1, len(pool) // 20))
    found = [
        run(
            part,
            pool,
            labeled,
            few if part.spec.batch_aware and not alone else n,
            np.random.default_rng(draw_seed(rng)),
            term.params,
        )
        for part, term in zip(parts, terms, strict=True)
    ]
    if alone:
        return found[0]
    utilities = [ranking.utility for ranking in found]
    how = composition.options["normalise"]
    if len(found) == 1 and np.nanmin(utilities[0], initial=0.0) >= 0:
        worth = utilities[0].astype(np.float64) ** terms[0].strength
    else:
        worth = product(utilities, [term.strength for term in terms], how)
    if exponent:
        assert pool.cost is not None
        worth = per_cost(worth, pool.cost, exponent)
    shares = [normalised(utility, how) for utility in utilities]

    def explain(row: int) -> Mapping[str, Any]:
        first = dict(found[0].explain(row)) if found[0].explain else {}
        parts_of = {
            term.strategy: None if np.isnan(share[row]) else float(share[row])
            for term, share in zip(terms, shares, strict=True)
        }
        more = {"seconds": float(pool.cost[row])} if exponent and pool.cost is not None else {}
        return {**first, "kind": KEY, "parts": parts_of, **more}

    dropped = {"degenerate", "unscored", "filled"}  # they speak of one term's order, which is not used
    notes = [note for ranking in found for note in ranking.notes if note.code not in dropped]
    return rank_by_utility(pool, worth, n, rng, explain=explain, notes=notes)


def _without_duplicates(
    pool: Pool, labeled: Labeled, ranking: Ranking, similarity: float
) -> tuple[Ints, Ints]:
    """The ranked ids that are no near-duplicates, and those that are."""
    rows = ranking.positions(ranking.order)
    kept = distinct(take_rows(pool.features, rows), labeled.features, similarity)
    return ranking.order[kept], ranking.order[~kept]


def _balanced(
    pool: Pool,
    labeled: Labeled,
    ranking: Ranking,
    order: Ints,
    n: int,
    pick: Any,
    rng: np.random.Generator,
) -> tuple[Ints, dict[int, int], list[Note]]:
    """The ids in balanced order, the class for which each of the batch was taken, and what is to be said."""
    proba = to_numpy(take_rows(pool.proba, ranking.positions(order)))
    expected = proba.argmax(axis=1).astype(np.int64)
    counts = np.zeros(labeled.n_classes) if labeled.targets is None else labeled.class_counts().astype(float)
    if pool.outlier is not None:
        counts[pool.outlier] = np.inf  # nobody is short of items that are none of the classes
    chosen = class_balance(expected, counts, n, rng, pick=pick)
    left = np.ones(len(order), dtype=bool)
    left[chosen] = False
    told = dict(zip(order[chosen].tolist(), expected[chosen].tolist(), strict=True))
    missing = np.setdiff1d(np.flatnonzero(np.isfinite(counts)), expected)
    notes = []
    if len(missing):
        message = f"No candidate is expected to be of {len(missing)} of the {labeled.n_classes} classes."
        notes.append(Note("classes-missing", message, {"classes": missing.tolist()}))
    return np.concatenate([order[chosen], order[left]]), told, notes


def _mean_ranks(values: Doubles) -> Doubles:
    """Ranks from 1, lowest first; equal values share their mean, or array position would decide."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + 1 + ends) / 2, ends - starts)
    return ranks
