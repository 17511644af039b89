"""What strategies of uncertainty share: one score for single-label, one per class for multi-label."""

from collections.abc import Callable, Mapping

import numpy as np

from acquisition import scores
from acquisition.arrays import Array, map_classes_first
from acquisition.pool import Pool
from acquisition.ranking import Explain, Ranking, rank_by_utility
from acquisition.reasons import rivals
from acquisition.reduce import reduce_axis

Score = Callable[[Array], Array]

# By name: of rows that sum to 1, and of entries that are probabilities of their own.
SCORES: Mapping[str, tuple[Score, Score]] = {
    "entropy": (scores.entropy, scores.binary_entropy),
    "least_confidence": (scores.least_confidence, scores.binary_least_confidence),
    "margin": (scores.margin, scores.binary_margin),
}


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
    utility = _reduced(pool, single, per_class, reduction, top_k)
    return rank_by_utility(pool, utility, n, rng, explain=_explain(pool, kind, per_class))


def uncertainty_of(pool: Pool, name: str, reduction: str, top_k: int) -> Array:
    """(n,) of the pool's probabilities by the score of that name; multi-label: reduced over the classes."""
    return _reduced(pool, *SCORES[name], reduction, top_k)


def explain_by_classes(pool: Pool, name: str) -> Explain:
    """The reason of a row under the score of that name: the classes that compete, or the labels least sure of."""
    return _explain(pool, name, SCORES[name][1])


def _reduced(pool: Pool, single: Score, per_class: Score, reduction: str, top_k: int) -> Array:
    if not pool.multi_label:
        return single(pool.proba)
    return map_classes_first(
        lambda block: reduce_axis(per_class(block), reduction, k=top_k, axis=0), pool.proba
    )


def _explain(pool: Pool, kind: str, per_class: Score) -> Explain:
    return lambda row: {"kind": kind, **rivals(pool, row, per_class=per_class)}
