"""Replays labelling on data whose targets are known: what a strategy would have learned, label by label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import presets, registry
from acquisition.arrays import Array, Ints, take_rows, to_numpy
from acquisition.compose import Mode, random_share, serve
from acquisition.composition import strategy_of
from acquisition.errors import PoolError
from acquisition.hashing import draw_seed
from acquisition.pool import Labeled, Pool
from acquisition.presets import State
from acquisition.registry import Strategy

# (features (l, D), targets (l,) or (l, C), queries, random share (l,)) -> probabilities (q, C) of each of the queries
FitPredict = Callable[[Array, npt.NDArray[Any], Sequence[Array], npt.NDArray[np.bool_]], Sequence[Array]]
Metric = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]
# (needs of the strategy, features of the pool (n, D)) -> further signals of the pool by name, each (n, ...)
Signals = Callable[[frozenset[str], Array], Mapping[str, Any]]
# (labels so far, whether there is a model) -> the strategy to ask now, with its parameters
Chooser = Callable[[int, bool], tuple[Strategy, Mapping[str, Any]]]


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
) -> Replay:
    """Labels `batches` rows at a time by the strategy or preset, fits after each, and measures on the test set.

    features (n, D), targets (n,) classes or bool (n, C). Where the strategy needs a model and there is none (no
    labels yet, or single-label with one class seen) `cold_start` chooses. Rows are served as the product does it:
    `mode`, `beta` and the exploration `share` of `acquisition.compose.serve`; at least `jointly` rows are chosen
    together, of which a batch is served. While one class was seen, the score is that of always predicting it. Stops
    when the pool is empty. One seed, one result.

    In place of a key, `strategy` may be a function that names the strategy for each batch. `signals` gives what that
    needs beyond probabilities and features, after the first fit; the probabilities of the fit before are known here.
    `outlier`: index of the class that means 'none of these'. `on_batch` is told the number of labels after each batch,
    and may raise to end it.
    """
    targets, test_targets = np.asarray(targets), np.asarray(test_targets)
    if len(targets) != features.shape[0] or len(test_targets) != test_features.shape[0]:
        raise PoolError("Features and targets must be equally many.")
    rng = np.random.default_rng(seed)
    exploration_seed = draw_seed(rng)
    choose = (
        strategy
        if callable(strategy)
        else _chooser(strategy, params or {}, cold_start, n_classes, targets.ndim == 2)
    )
    multi = targets.ndim == 2
    known = np.empty(0, dtype=np.int64)
    explored: list[bool] = []
    labels, scores = [], []
    proba: npt.NDArray[Any] | None = None
    before: npt.NDArray[Any] | None = None
    for batch in batches:
        left = np.setdiff1d(np.arange(len(targets)), known)
        if not len(left):
            break
        unlabelled = take_rows(features, left)
        now, options = choose(len(known), proba is not None)
        pool = Pool(
            left,
            proba=None if proba is None else proba[left],
            features=unlabelled,
            multi_label=multi,
            outlier=outlier,
            **_further(now.spec.needs, unlabelled, left, proba, before, signals),
        )
        labeled = Labeled(
            ids=known,
            n_classes=n_classes,
            features=take_rows(features, known),
            targets=targets[known],
            multi_label=multi,
            proba=None if proba is None else proba[known],
        )
        ranking = now.select(pool, labeled, max(batch, jointly), rng, **options)
        served = serve(
            ranking,
            batch,
            jointly=now.spec.batch_aware,
            mode=mode,
            beta=beta,
            share=share,
            seed=exploration_seed,
            rng=rng,
        )
        known = np.concatenate([known, served.ids])
        explored += served.explore.tolist()
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


def _chooser(
    strategy: str,
    params: Mapping[str, Any],
    cold_start: str,
    n_classes: int,
    multi: bool,  # noqa: FBT001
) -> Chooser:
    """A strategy as soon as there is what it needs, or what a preset plans."""
    if strategy in presets.PRESETS:
        plan = presets.get(strategy).plan_of(params)

        def planned(labels: int, model: bool) -> tuple[Strategy, Mapping[str, Any]]:  # noqa: FBT001 - as the type says
            signals = frozenset({"features", "proba"} if model else {"features"})
            state = State(
                labels=labels, classes=n_classes, task="multi" if multi else "single", signals=signals
            )
            return strategy_of(presets.choose(plan, state).composition)

        return planned
    wanted, first = registry.get(strategy), registry.get(cold_start)

    def one(_labels: int, model: bool) -> tuple[Strategy, Mapping[str, Any]]:  # noqa: FBT001 - as the type says
        return (wanted, params) if model or wanted.spec.needs <= {"features"} else (first, {})

    return one


def _further(
    needs: frozenset[str],
    unlabelled: Array,
    left: Ints,
    proba: npt.NDArray[Any] | None,
    before: npt.NDArray[Any] | None,
    signals: Signals | None,
) -> dict[str, Any]:
    """Signals beyond probabilities and features that the strategy needs, where there is a model to make them."""
    if proba is None:
        return {}
    found: dict[str, Any] = {}
    if "previous" in needs:
        found["previous"] = np.full((len(left), proba.shape[1]), np.nan) if before is None else before[left]
    if signals is not None:
        found |= signals(needs, unlabelled)
    return found
