"""modAL's strategy functions as `modal:name`.

A strategy function of modAL asks its learner for probabilities only; here a stand-in hands out those of the pool. What
asks for more does not fit: expected error reduction trains a model for every item, dropout strategies run a network of
theirs, SVM strategies read decision functions, regression and optimisation have no classes.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from acquisition.adapters._shared import LARGEST, Doubles, View, quiet, rank_picks, rank_scores, view_of
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.registry import Strategy, StrategySpec

LIBRARY, DISTRIBUTION = "modAL", "modAL-python"

_REFERENCE = "Danka and Horvath 2018, modAL: a modular active learning framework for Python"


class _Learner:
    """Stands in for a modAL learner: it was asked about the rows of a view, and knows their probabilities."""

    on_transformed = False

    def __init__(self, proba: Doubles, features: Doubles | None = None) -> None:
        self._proba = proba
        self.X_training = features if features is not None and len(features) else None
        self.classes_ = np.arange(proba.shape[1])

    def predict_proba(self, _rows: Any, **_options: Any) -> Doubles:
        return self._proba

    def predict(self, _rows: Any, **_options: Any) -> Doubles:
        """Multi-label: 1 for every class that is likelier than not."""
        return (self._proba >= 0.5).astype(np.float64)


class _Committee:
    """Stands in for a modAL committee whose members are the draws (m, C, M)."""

    def __init__(self, draws: Doubles) -> None:
        self._members = np.moveaxis(draws, 2, 1)
        self.classes_ = np.arange(draws.shape[1])

    def __len__(self) -> int:
        return int(self._members.shape[1])

    def __iter__(self) -> Any:
        return iter(range(len(self)))

    def vote(self, _rows: Any, **_options: Any) -> Any:
        return self._members.argmax(axis=2)

    def vote_proba(self, _rows: Any, **_options: Any) -> Doubles:
        return self._members

    def predict_proba(self, _rows: Any, **_options: Any) -> Doubles:
        return np.asarray(self._members.mean(axis=1), dtype=np.float64)


def _ask(module: str, name: str, learner: Any, rows: int, sign: float) -> Doubles:
    """The measure (m,) of every row: modAL tells that of the chosen ones, so all are chosen."""
    function = getattr(importlib.import_module(f"modAL.{module}"), name)
    with quiet():
        chosen, measure = function(learner, np.zeros((rows, 1)), n_instances=rows)
    scores = np.empty(rows)
    scores[chosen] = sign * np.asarray(measure)
    return scores


def _by_measure(
    module: str,
    name: str,
    stand_in: Callable[[View], Any],
    sign: float,
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    max_pool: int | None = None,
) -> Ranking:
    """The order of modAL's own measure; equal measures in the order of the ids' hashes."""
    view = view_of(pool, labeled, rng, most=max_pool)
    scores = _ask(module, name, stand_in(view), len(view), sign)
    return rank_scores(view, scores, n, rng, kind=f"modal:{name}")


def _ranked_batch(
    pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, max_pool: int
) -> Ranking:
    """modAL's ranked batch: unsure and far from what is labelled or chosen. O(n (l + n) m D), in modAL's own loops."""
    view = view_of(pool, labeled, rng, most=max_pool)
    learner = _Learner(view.proba(), view.known_features())
    batch = importlib.import_module("modAL.batch")
    with quiet():
        picks, _ = batch.uncertainty_batch_sampling(
            learner, view.features(), n_instances=max(1, min(n, len(view)))
        )
        unsure = importlib.import_module("modAL.uncertainty").classifier_uncertainty(learner, None)
    # From nothing the first pick comes twice: modAL does not take it out of its own pool.
    distinct = list(dict.fromkeys(picks.tolist()))
    return rank_picks(
        view, np.array(distinct, dtype=np.int64), unsure, n, rng, kind="modal:uncertainty_batch_sampling"
    )


def _learner(view: View) -> _Learner:
    return _Learner(view.proba())


def _committee(view: View) -> _Committee:
    return _Committee(view.draws())


def _made(
    module: str,
    name: str,
    title: str,
    advice: str,
    *,
    tasks: str = "single",
    needs: str = "proba",
    sign: float = 1.0,
    **options: Any,
) -> Strategy:
    function: Callable[..., Ranking] = partial(
        _by_measure, module, name, _committee if needs == "draws" else _learner, sign
    )
    # A copy of the draws, and modAL's own tables of them, are many times what probabilities take.
    params = LARGEST if needs == "draws" else {}
    return Strategy(
        _spec(name, title, advice, tasks={tasks}, needs={needs}, params=params, **options), function
    )


def _spec(
    name: str,
    title: str,
    advice: str,
    *,
    tasks: set[str],
    needs: set[str],
    params: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> StrategySpec:
    return StrategySpec(
        key=f"modal:{name}",
        title=f"{title} (modAL)",
        advice=advice,
        needs=frozenset(needs),
        tasks=frozenset(tasks),
        params=params or {},
        reference=_REFERENCE,
        **options,
    )


_SAME = "Use it to repeat what was done with modAL; our own {} gives the same order, faster."

STRATEGIES = (
    _made("uncertainty", "uncertainty_sampling", "Uncertainty sampling", _SAME.format("least confidence")),
    _made("uncertainty", "margin_sampling", "Margin sampling", _SAME.format("margin"), sign=-1.0),
    _made("uncertainty", "entropy_sampling", "Entropy sampling", _SAME.format("entropy")),
    Strategy(
        _spec(
            "uncertainty_batch_sampling",
            "Ranked batch",
            "Use it for batches that are unsure and unlike each other, where the pool is small: its time grows fast.",
            tasks={"single"},
            needs={"proba", "features"},
            params=LARGEST,
            batch_aware=True,
        ),
        _ranked_batch,
    ),
    _made(
        "disagreement",
        "vote_entropy_sampling",
        "Vote entropy",
        "Use it when several models exist and only their votes can be trusted.",
        needs="draws",
    ),
    _made(
        "disagreement",
        "consensus_entropy_sampling",
        "Consensus entropy",
        "Use it when several models exist and their mean is better than each.",
        needs="draws",
    ),
    _made(
        "disagreement",
        "max_disagreement_sampling",
        "Largest disagreement",
        "Use it when several models exist and one that dissents is worth asking about.",
        needs="draws",
    ),
    _made(
        "multilabel",
        "min_confidence",
        "Smallest confidence",
        "Use it when items have many labels and the rarest probability matters.",
        tasks="multi",
        sign=-1.0,
    ),
    _made(
        "multilabel",
        "avg_confidence",
        "Mean confidence",
        "Use it when items with many likely labels should come first.",
        tasks="multi",
    ),
    _made(
        "multilabel",
        "max_score",
        "Largest score",
        "Use it when an item counts by its surest label.",
        tasks="multi",
    ),
    _made(
        "multilabel",
        "avg_score",
        "Mean score",
        "Use it when an item counts by all its labels, sure ones more.",
        tasks="multi",
    ),
)
