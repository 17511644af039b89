"""The contract kit: what every strategy must keep, run on one by `python -m acquisition.check package.module:name`.

A registered key works in place of the address. Prints one line a check; exit status 0 kept, 1 broken, 2 not found.
That a strategy never sees the labels of unlabelled items needs no check: a Pool has no place for them.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import registry
from acquisition.errors import AcquisitionError, StrategyError
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.registry import Strategy

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One check: its name, what it asks, and what went wrong (empty: nothing)."""

    name: str
    asks: str
    problem: str = ""


@dataclass(frozen=True)
class Report:
    key: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not any(finding.problem for finding in self.findings)

    def __str__(self) -> str:
        lines = [
            f"{'BROKEN' if finding.problem else 'kept  '}  {finding.name}: {finding.problem or finding.asks}"
            for finding in self.findings
        ]
        return "\n".join(
            [f"{self.key}: {'the contract is kept' if self.ok else 'the contract is broken'}", *lines]
        )


def check(strategy: Strategy) -> Report:
    """Runs every check; an exception of the strategy is a finding of the check that met it."""
    return Report(strategy.spec.key, tuple(_finding(one, strategy) for one in CHECKS))


def load(address: str) -> Strategy:
    """The strategy at 'package.module:name', or of that key; StrategyError where there is none."""
    if ":" not in address or address in registry.adapted():
        return registry.get(address)
    module, _, name = address.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise StrategyError(f"There is nothing at {address}: {error}.") from error
    if not isinstance(found, Strategy):
        raise StrategyError(f"{address} is no Strategy; decorate the function with @strategy(spec).")
    return found


def example(
    size: int = 60,
    *,
    task: str = "single",
    classes: int = 3,
    labeled: int = 9,
    seed: int = 0,
    proba: npt.NDArray[np.float64] | None = None,
    distinct: int | None = None,
    signals: frozenset[str] | None = None,
    outlier: bool = False,
) -> tuple[Pool, Labeled]:
    """A seeded pool and labelled set, arrays read-only; `distinct` rows repeated, `signals` only (default: all).

    Every fifth row has no previous probabilities, every fifth labelled row none at all. `outlier`: the last class is it.
    """
    rng = np.random.default_rng(seed)
    multi = task == "multi"
    source = np.arange(size) % (distinct or max(1, size))
    if proba is None:
        proba = _probabilities(rng, (size,), classes, multi=multi)[source]
    draws = _probabilities(rng, (size, 4), classes, multi=multi).swapaxes(1, 2)
    centres = 4 * rng.normal(size=(4, 5))
    features = centres[rng.integers(0, 4, size + labeled)] + rng.normal(size=(size + labeled, 5))
    ids = rng.choice(10 * (size + labeled + 1), size + labeled, replace=False)
    targets = rng.random((labeled, classes)) < 0.5 if multi else rng.integers(0, classes, labeled)
    previous = _probabilities(rng, (size + labeled,), classes, multi=multi)
    previous[::5] = np.nan
    every: dict[str, Any] = {
        "proba": proba,
        "draws": draws[source],
        "previous": previous[:size][source],
        "features": features[:size][source],
        "cost": 1 + rng.random(size),
        "group": rng.integers(0, 5, size),
    }
    kept = {name: _frozen(value) for name, value in every.items() if signals is None or name in signals}
    return (
        Pool(
            _frozen(ids[:size]),
            multi_label=multi,
            outlier=classes - 1 if outlier else None,
            **kept,
        ),
        Labeled(
            ids=_frozen(ids[size:]),
            n_classes=classes,
            features=_frozen(features[size:]),
            proba=_frozen(previous[size:]),
            targets=_frozen(targets),
            multi_label=multi,
        ),
    )


def gives_as_many_distinct_ids_as_exist(strategy: Strategy) -> None:
    """min(n, N) distinct ids of the pool, for every size, N=0 and n>N included"""
    for task, values in _cases(strategy):
        for size, n in ((0, 3), (1, 1), (2, 5), (7, 3), (60, 0), (60, 20), (60, 60), (61, 80)):
            for classes, labeled in ((2, 0), (3, 9)):
                pool, known = example(size, task=task, classes=classes, labeled=labeled)
                _check_ids(
                    _select(strategy, pool, known, n, values),
                    pool,
                    n,
                    f"N={size}, n={n}, C={classes}, {values}",
                )


def works_when_one_class_was_seen(strategy: Strategy) -> None:
    """no exception while all labels so far are of one class"""
    for task in sorted(strategy.spec.tasks):
        pool, known = example(task=task)
        assert known.targets is not None
        one = Labeled(
            ids=known.ids,
            n_classes=known.n_classes,
            features=known.features,
            proba=known.proba,
            targets=np.zeros_like(known.targets),
            multi_label=known.multi_label,
        )
        _check_ids(_select(strategy, pool, one, 10), pool, 10, task)


def needs_only_what_it_declares(strategy: Strategy) -> None:
    """works on a pool that has the declared signals and nothing else"""
    for task in sorted(strategy.spec.tasks):
        pool, known = example(task=task, signals=strategy.spec.needs)
        bare = Labeled(ids=known.ids, n_classes=known.n_classes, multi_label=known.multi_label)
        _check_ids(_select(strategy, pool, bare, 10), pool, 10, task)


def repeats_itself_under_one_seed(strategy: Strategy) -> None:
    """same seed and same inputs give the same ranking, whatever was asked in between"""
    for task, values in _cases(strategy):
        pool, known = example(task=task)
        first = _select(strategy, pool, known, 30, values)
        _select(strategy, *example(40, task=task, seed=1), 10, values)
        _check_equal(first, _select(strategy, pool, known, 30, values), f"{task}, {values}")


def follows_ids_and_not_rows(strategy: Strategy) -> None:
    """permuting the rows of the pool permutes the utilities and leaves the order as it is, ties included"""
    for task, values in _cases(strategy):
        for distinct in (None, 4):
            pool, known = example(task=task, distinct=distinct)
            shuffled = np.random.default_rng(5).permutation(len(pool))
            first = _select(strategy, pool, known, 30, values)
            other = _select(strategy, pool.take(shuffled), known, 30, values)
            _check_equal(first, other, f"{task}, {values}", utility=first.utility[shuffled])


def survives_duplicates(strategy: Strategy) -> None:
    """distinct ids even where 60 rows have only 4 distinct values, or 1"""
    for task, values in _cases(strategy):
        for distinct in (4, 1):
            pool, known = example(task=task, distinct=distinct)
            _check_ids(
                _select(strategy, pool, known, 30, values), pool, 30, f"{distinct} distinct rows, {values}"
            )


def is_finite_at_zero_and_one(strategy: Strategy) -> None:
    """probabilities of exactly 0 and 1 give finite utilities, of the model, its members and the round before alike"""
    for task, values in _cases(strategy):
        sure = np.eye(3)[np.arange(60) % 3]
        pool, known = example(task=task, proba=sure)
        members = np.stack([sure, sure, sure, np.roll(sure, 1, axis=1)], axis=2)
        pool = replace(pool, draws=_frozen(members), previous=_frozen(np.roll(sure, 1, axis=0)))
        known = replace(known, proba=_frozen(sure[: len(known)]))
        usual = np.isnan(_select(strategy, *example(task=task), 10, values).utility).sum()
        utility = _select(strategy, pool, known, 10, values).utility
        if np.isinf(utility).any() or np.isnan(utility).sum() > usual:
            raise StrategyError(f"utility {utility[~np.isfinite(utility)][0]} ({task}, {values})")


def has_an_opinion(strategy: Strategy) -> None:
    """on the plain example some item has a utility, and two have different ones unless it is batch aware"""
    for task in sorted(strategy.spec.tasks):
        utility = _select(strategy, *example(task=task), 10).utility
        known = utility[~np.isnan(utility)]
        if not len(known):
            raise StrategyError(f"no item has a utility ({task})")
        if not strategy.spec.batch_aware and known.min() == known.max():
            raise StrategyError(f"all items have the utility {known[0]} ({task})")


def leaves_its_input_alone(strategy: Strategy) -> None:
    """writes into no array of the pool or the labelled set (they are read-only here, as memory maps are)"""
    for task, values in _cases(strategy):
        pool, known = example(task=task)
        held = [(name, getattr(pool, name)) for name in sorted(pool.signals)]
        held += [(f"labeled {name}", getattr(known, name)) for name in ("features", "proba", "targets")]
        before = [array.copy() for _, array in held]
        _select(strategy, pool, known, 30, values)
        changed = [
            name
            for (name, array), was in zip(held, before, strict=True)
            if not np.array_equal(was, array, equal_nan=array.dtype.kind == "f")
        ]
        if changed:
            raise StrategyError(f"changed {', '.join(changed)}")


def works_with_a_class_of_outliers(strategy: Strategy) -> None:
    """the same promises where a class is marked as outlier: ids, one seed one result, ids and not rows"""
    for task, values in _cases(strategy):
        pool, known = example(task=task, outlier=True)
        shuffled = np.random.default_rng(5).permutation(len(pool))
        first = _select(strategy, pool, known, 30, values)
        _check_ids(first, pool, 30, f"{task}, {values}")
        other = _select(strategy, pool.take(shuffled), known, 30, values)
        _check_equal(first, other, f"{task}, {values}", utility=first.utility[shuffled])


def works_without_a_round_before(strategy: Strategy) -> None:
    """nothing of the previous round and of the labelled items is known: a ranking all the same"""
    for task in sorted(strategy.spec.tasks):
        pool, known = example(task=task)
        assert pool.previous is not None
        assert known.proba is not None
        nothing = replace(pool, previous=np.full_like(pool.previous, np.nan))
        unseen = replace(known, proba=np.full_like(known.proba, np.nan))
        _check_ids(_select(strategy, nothing, unseen, 30), pool, 30, task)


def orders_by_utility_unless_batch_aware(strategy: Strategy) -> None:
    """the order follows the utilities, where the specification does not say that the batch is chosen jointly"""
    if strategy.spec.batch_aware:
        return
    for task, values in _cases(strategy):
        ranking = _select(strategy, *example(task=task), 60, values)
        ordered = ranking.utility[ranking.positions(ranking.order)]
        ordered = ordered[~np.isnan(ordered)]
        if (np.diff(ordered) > 0).any():
            raise StrategyError(f"a higher utility follows a lower one ({task}, {values})")


def gives_reasons(strategy: Strategy) -> None:
    """the reason of every chosen id is JSON with a kind"""
    for task, values in _cases(strategy):
        ranking = _select(strategy, *example(task=task), 30, values)
        for reason in ranking.reasons(ranking.order):
            if not json.loads(json.dumps(reason, allow_nan=False)).get("kind"):
                raise StrategyError(f"a reason without a kind: {reason}")


CHECKS: tuple[Callable[[Strategy], None], ...] = (
    gives_as_many_distinct_ids_as_exist,
    works_when_one_class_was_seen,
    needs_only_what_it_declares,
    repeats_itself_under_one_seed,
    follows_ids_and_not_rows,
    survives_duplicates,
    is_finite_at_zero_and_one,
    has_an_opinion,
    leaves_its_input_alone,
    works_with_a_class_of_outliers,
    works_without_a_round_before,
    orders_by_utility_unless_batch_aware,
    gives_reasons,
)


def main(arguments: Sequence[str]) -> int:
    """Exit status of the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m acquisition.check KEY | package.module:name\n")
        return 2
    try:
        strategy = load(arguments[0])
    except AcquisitionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report = check(strategy)
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


def _finding(one: Callable[[Strategy], None], strategy: Strategy) -> Finding:
    name, asks = one.__name__.replace("_", " "), one.__doc__ or ""
    try:
        one(strategy)
    except Exception as error:  # noqa: BLE001 - whatever a foreign strategy raises is what the report is about
        return Finding(name, asks, f"{type(error).__name__}: {error}")
    return Finding(name, asks)


def _cases(strategy: Strategy) -> Iterator[tuple[str, Values]]:
    """Every task with the defaults, then with every other value of an enumeration and both ends of a range.

    Parameters of a signal are none of the function's.
    """
    for task in sorted(strategy.spec.tasks):
        yield task, {}
        for name, schema in strategy.spec.params.items():
            if "x-signal" in schema:
                continue
            edges = [schema[edge] for edge in ("minimum", "maximum") if edge in schema]
            for value in [*schema.get("enum", edges)]:
                if value != schema["default"]:
                    yield task, {name: value}


def _select(
    strategy: Strategy, pool: Pool, labeled: Labeled, n: int, values: Values | None = None
) -> Ranking:
    return strategy.select(pool, labeled, n, np.random.default_rng(7), **(values or {}))


def _check_ids(ranking: Ranking, pool: Pool, n: int, case: str) -> None:
    order = ranking.order
    if len(order) != min(n, len(pool)):
        raise StrategyError(f"{len(order)} ids instead of {min(n, len(pool))} ({case})")
    if len(np.unique(order)) != len(order):
        raise StrategyError(f"an id comes twice ({case})")
    if not np.isin(order, pool.ids).all():
        raise StrategyError(f"an id is not in the pool ({case})")


def _check_equal(
    first: Ranking, other: Ranking, case: str, *, utility: npt.NDArray[Any] | None = None
) -> None:
    expected = first.utility if utility is None else utility
    if not np.allclose(expected, other.utility, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise StrategyError(f"the utilities differ ({case})")
    if not np.array_equal(first.order, other.order):
        raise StrategyError(f"the order differs ({case})")


def _probabilities(
    rng: np.random.Generator, shape: tuple[int, ...], classes: int, *, multi: bool
) -> npt.NDArray[np.float64]:
    """(*shape, classes): rows that sum to 1, for multi-label any numbers from 0 to 1."""
    return rng.random((*shape, classes)) if multi else rng.dirichlet(np.ones(classes), shape)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = np.array(array)
    array.setflags(write=False)
    return array


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
