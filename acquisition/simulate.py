"""Replays labelling on data whose targets are known: what a strategy would have learned, label by label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import presets, registry
from acquisition.arrays import Array, Ints, take_rows, to_numpy
from acquisition.compose import Mode, random_share, serve
from acquisition.composition import Composition, strategy_of
from acquisition.errors import PoolError
from acquisition.filters import keep_by_model, last_in_order
from acquisition.hashing import draw_seed
from acquisition.pool import Labeled, Pool
from acquisition.presets import Plan, State
from acquisition.registry import Strategy

# (features (l, D), targets (l,) or (l, C), queries, random share (l,)) -> probabilities (q, C) of each of the queries
FitPredict = Callable[[Array, npt.NDArray[Any], Sequence[Array], npt.NDArray[np.bool_]], Sequence[Array]]
Metric = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who chooses a batch: a strategy with its parameters, and the composition whose hard filters come before it.

    stage 'start': while labels are few or there is no model, and so no filter on what a model says.
    """

    strategy: Strategy
    params: Mapping[str, Any]
    composition: Composition
    stage: str


# (who is asked, features of the rows it may choose from (n, D)) -> further signals of these by name, each (n, ...)
Signals = Callable[[Asked, Array], Mapping[str, Any]]
# what there is so far -> who is asked now
Chooser = Callable[[State], Asked]


@dataclass(frozen=True)
class Step:
    """A batch as it was chosen, in plain values: ids, which of them were drawn at random, the generator's state after it."""

    ids: Sequence[int]
    explore: Sequence[bool]
    rng: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Replay:
    """A learning curve: labels (k,), score (k,) on the test set after each batch; ids in the order of labelling."""

    labels: Ints
    score: npt.NDArray[np.float64]
    ids: Ints
    explore: npt.NDArray[np.bool_]


def accuracy(targets: npt.NDArray[Any], proba: npt.NDArray[Any]) -> float:
    """Share of rows whose most probable class is the target; multi-label: of which every label is right at 0.5."""
    right = ((proba >= 0.5) == targets).all(axis=1) if targets.ndim == 2 else proba.argmax(axis=1) == targets
    return float(right.mean())


def replay(
    *,
    features: Array,
    targets: npt.NDArray[Any],
    test_features: Array,
    test_targets: npt.NDArray[Any],
    n_classes: int,
    fit_predict: FitPredict,
    strategy: str | Chooser,
    batches: Sequence[int],
    seed: int,
    params: Mapping[str, Any] | None = None,
    cold_start: str = "random",
    mode: Mode | None = "power",
    beta: float | None = None,
    share: float = 0.0,
    jointly: int = 0,
    metric: Metric = accuracy,
    signals: Signals | None = None,
    outlier: int | None = None,
    on_batch: Callable[[int], None] | None = None,
    steps: list[Step] | None = None,
) -> Replay:
    """Labels `batches` rows at a time by the strategy or preset, fits after each, and measures on the test set.

    features (n, D), targets (n,) classes or bool (n, C). Where the strategy needs a model and there is none (no
    labels yet, or single-label with one class seen) `cold_start` chooses. Rows are served as the product does it:
    `mode`, `beta` and the exploration `share` of `acquisition.compose.serve`; at least `jointly` rows are chosen
    together, of which a batch is served. While one class was seen, the score is that of always predicting it. Stops
    when the pool is empty. One seed, one result.

    In place of a key, `strategy` may be a function that says who is asked for each batch; hard filters of a composition
    hold rows back as they do in a round: those come after all others, but for exploration draws. `signals` gives what
    is needed beyond probabilities and features, draws that is, after the first fit; the probabilities of the fit before
    are known here.
    `outlier`: index of the class that means 'none of these'. `on_batch` is told the number of labels after each batch,
    and may raise to end it. `steps` gets every batch as it is chosen; those that are in it already are fitted and measured
    again and not chosen again, so that a replay that was ended goes on with the list it left, to the same end.
    """
    targets, test_targets = np.asarray(targets), np.asarray(test_targets)
    if len(targets) != features.shape[0] or len(test_targets) != test_features.shape[0]:
        raise PoolError("Features and targets must be equally many.")
    rng = np.random.default_rng(seed)
    exploration_seed = draw_seed(rng)
    multi = targets.ndim == 2
    choose = strategy if callable(strategy) else follow(plan_of(strategy, cold_start, params))
    known = np.empty(0, dtype=np.int64)
    explored: list[bool] = []
    labels, scores = [], []
    proba: npt.NDArray[Any] | None = None
    before: npt.NDArray[Any] | None = None
    steps = [] if steps is None else steps
    for number, batch in enumerate(batches):
        left = np.setdiff1d(np.arange(len(targets)), known)
        if not len(left):
            break
        if number == len(steps):
            asked = choose(
                State(
                    labels=len(known),
                    classes=n_classes,
                    task="multi" if multi else "single",
                    signals=_provided(model=proba is not None, draws=signals is not None),
                )
            )
            kept, held = _filtered(asked, left, proba, targets[known], multi=multi, outlier=outlier, rng=rng)
            unlabelled = take_rows(features, kept)
            pool = Pool(
                kept,
                proba=None if proba is None else proba[kept],
                features=unlabelled,
                multi_label=multi,
                outlier=outlier,
                **_further(asked, unlabelled, kept, proba, before, signals),
            )
            labeled = Labeled(
                ids=known,
                n_classes=n_classes,
                features=take_rows(features, known),
                targets=targets[known],
                multi_label=multi,
                proba=None if proba is None else proba[known],
            )
            ranking = asked.strategy.select(pool, labeled, max(batch, jointly), rng, **asked.params)
            served = serve(
                ranking,
                batch,
                jointly=asked.strategy.spec.batch_aware,
                mode=mode,
                beta=beta,
                share=share,
                seed=exploration_seed,
                rng=rng,
                held=held,
            )
            steps.append(Step(served.ids.tolist(), served.explore.tolist(), rng.bit_generator.state))
        step = steps[number]
        rng.bit_generator.state = step.rng
        known = np.concatenate([known, np.asarray(step.ids, dtype=np.int64)])
        explored += step.explore
        if multi or len(np.unique(targets[known])) > 1:
            queries = [features, test_features]
            drawn = random_share(exploration_seed, known, known[np.array(explored, dtype=bool)])
            every, test = fit_predict(take_rows(features, known), targets[known], queries, drawn)
            before, proba, test_proba = proba, to_numpy(every), to_numpy(test)
        else:
            test_proba = np.tile(np.eye(n_classes)[targets[known[0]]], (len(test_targets), 1))
        labels.append(len(known))
        scores.append(metric(test_targets, test_proba))
        if on_batch is not None:
            on_batch(len(known))
    return Replay(np.array(labels, dtype=np.int64), np.array(scores), known, np.array(explored, dtype=bool))


def plan_of(strategy: str, cold_start: str, params: Mapping[str, Any] | None = None) -> Plan:
    """The preset of that name, or the strategy, begun by `cold_start` where it needs a model."""
    if strategy in presets.PRESETS:
        return presets.get(strategy).plan_of(params or {})
    wanted = presets.single(strategy, params)
    alone = registry.get(strategy).spec.needs <= {"features"}
    return Plan(
        start=(wanted if alone else presets.single(cold_start),),
        then=(wanted,),
        labels_per_class=0,
        strict=True,
    )


def follow(plan: Plan) -> Chooser:
    """Asks whom the plan names for what there is."""

    def choose(state: State) -> Asked:
        found = presets.choose(plan, state)
        strategy, params = strategy_of(found.composition)
        return Asked(strategy=strategy, params=params, composition=found.composition, stage=found.stage)

    return choose


def _provided(*, model: bool, draws: bool) -> frozenset[str]:
    """Signals that a replay has: before there is a model, features only."""
    if not model:
        return frozenset({"features"})
    return frozenset({"features", "proba", "previous"} | ({"draws"} if draws else set()))


def _filtered(
    asked: Asked,
    left: Ints,
    proba: npt.NDArray[Any] | None,
    known: npt.NDArray[Any],
    *,
    multi: bool,
    outlier: int | None,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Of the rows that are left, those that may be ranked, and those that come after all others, in their order."""
    if proba is None or asked.stage == "start":
        return left, left[:0]
    options = asked.composition.options
    seen = outlier is not None and bool((known[:, outlier] if multi else known == outlier).any())
    mask, _ = keep_by_model(proba[left], options, multi_label=multi, outlier=outlier, outlier_seen=seen)
    if mask.all():
        return left, left[:0]
    held = left[~mask]
    unlike = None if outlier is None else proba[held, outlier]
    return left[mask], held[last_in_order(held, options, unlike, draw_seed(rng))]


def _further(
    asked: Asked,
    unlabelled: Array,
    rows: Ints,
    proba: npt.NDArray[Any] | None,
    before: npt.NDArray[Any] | None,
    signals: Signals | None,
) -> dict[str, Any]:
    """Signals beyond probabilities and features that the strategy needs, where there is a model to make them."""
    if proba is None:
        return {}
    found: dict[str, Any] = {}
    if "previous" in asked.strategy.spec.needs:
        found["previous"] = np.full((len(rows), proba.shape[1]), np.nan) if before is None else before[rows]
    if signals is not None:
        found |= signals(asked, unlabelled)
    return found
