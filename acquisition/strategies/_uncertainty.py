"""What least confidence, margin and entropy share: one score for single-label, one per class for multi-label."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from acquisition.arrays import Array, map_classes_first, to_numpy
from acquisition.pool import Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.reduce import reduce_axis

Score = Callable[[Array], Array]

_SHOWN_LABELS = 3


def rank_by_uncertainty(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    *,
    kind: str,
    single: Score,
    per_class: Score,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Most unsure first; reasons name the competing classes (single) or the least sure ones (multi)."""
    if pool.multi_label:
        utility = map_classes_first(
            lambda block: reduce_axis(per_class(block), reduction, k=top_k, axis=0), pool.proba
        )
        return rank_by_utility(
            pool, utility, n, rng, explain=lambda row: _unsure_labels(pool, row, kind, per_class)
        )
    return rank_by_utility(pool, single(pool.proba), n, rng, explain=lambda row: _rivals(pool, row, kind))


def _rivals(pool: Pool, row: int, kind: str) -> Mapping[str, Any]:
    proba = _row(pool, row)
    best = np.argsort(-proba, kind="stable")[:2]
    return {"kind": kind, "classes": best.tolist(), "probabilities": proba[best].tolist()}


def _unsure_labels(pool: Pool, row: int, kind: str, per_class: Score) -> Mapping[str, Any]:
    proba = _row(pool, row)
    worst = np.argsort(-to_numpy(per_class(proba)), kind="stable")[:_SHOWN_LABELS]
    return {"kind": kind, "labels": worst.tolist(), "probabilities": proba[worst].tolist()}


def _row(pool: Pool, row: int) -> Any:
    assert pool.proba is not None
    return to_numpy(pool.proba[row, :]).astype(np.float64)
