"""Expected gradient length: where a label, whichever it is, would move the model most."""

from typing import Any

import numpy as np

from acquisition.arrays import Array, map_classes_first, namespace, widen
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.reasons import rivals
from acquisition.reduce import REDUCTION_PARAMS, reduce_axis
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._features import not_finite

_ROWS = 1 << 14


@strategy(
    StrategySpec(
        key="gradient_length",
        title="Expected gradient length",
        advice="Use it when the length of the features means something, as in counts of words: long, unsure items first.",
        needs=frozenset({"proba", "features"}),
        params=REDUCTION_PARAMS,
        reference="Settles, Craven and Ray 2008, Multiple-instance active learning",
    )
)
def gradient_length(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: the loss gradient's length at a linear head, expected over the model's own labels, in closed form.

    sum_c p_c |p - e_c| |h| for features h; multi-label: 2 p (1 - p) |h| for each class, reduced over the classes.
    """
    if pool.multi_label:
        per_item = map_classes_first(
            lambda block: reduce_axis(2 * block * (1 - block), reduction, k=top_k, axis=0), pool.proba
        )
    else:
        per_item = map_classes_first(expected_error_length, pool.proba)
    lengths = _lengths(pool.features)
    xp = namespace(per_item)
    dtype = xp.result_type(per_item, lengths)

    def explain(row: int) -> dict[str, Any]:
        return {"kind": "gradient_length", **rivals(pool, row), "length": float(lengths[row])}

    return rank_by_utility(
        pool, xp.astype(per_item, dtype) * xp.astype(lengths, dtype), n, rng, explain=explain
    )


def expected_error_length(block: Array) -> Array:
    """sum_c p_c |p - e_c| of proba (C, m), from |p - e_c|^2 = |p|^2 - 2 p_c + 1."""
    xp = namespace(block)
    squared = xp.sum(block * block, axis=0)[None, :] - 2 * block + 1
    return xp.sum(block * xp.sqrt(xp.clip(squared, min=0.0)), axis=0)


def _lengths(features: Array) -> Array:
    """Euclidean lengths (n,), a block of rows at a time; PoolError where one is not finite."""
    xp = namespace(features)
    parts = []
    for start in range(0, features.shape[0], _ROWS):
        rows = widen(features[start : start + _ROWS, :])
        parts.append(xp.sqrt(xp.vecdot(rows, rows)))
        if not bool(xp.all(xp.isfinite(parts[-1]))):
            raise not_finite()
    return parts[0] if len(parts) == 1 else xp.concat(parts)
