"""Contrastive active learning (CAL): where the model says something else than about labelled items that look the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from acquisition.arrays import Array, Ints, map_classes_first, namespace, take_rows, to_numpy, xlogx
from acquisition.neighbours import nearest_indices
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, labelled_sampled_note, rank_by_utility, sampled_note
from acquisition.reasons import rivals
from acquisition.reduce import REDUCTION_PARAMS, reduce_axis
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._features import finite_rows, max_pool_param, not_finite, sample

# Of more labelled items a random part is compared with: distances to all would take too long.
MOST_LABELED = 10_000
# Items at a time, and probabilities of their neighbours: 16 MiB in float32.
_ROWS, _ENTRIES = 1 << 12, 1 << 22


@strategy(
    StrategySpec(
        key="contrastive",
        title="Contrastive (CAL)",
        advice="Use it when features are good and the model is not: it asks where similar items are told apart, near a border.",
        needs=frozenset({"proba", "features"}),
        params={
            "neighbours": {
                "type": "integer",
                "default": 10,
                "minimum": 1,
                "maximum": 200,
                "title": "Neighbours",
                "description": "How many of the nearest labelled items each item is compared with.",
            },
            **max_pool_param(50_000, 1_000_000),
            **REDUCTION_PARAMS,
        },
        reference="Margatina et al. 2021, Active learning by acquiring contrastive examples",
    )
)
def contrastive(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    neighbours: int,
    max_pool: int,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: mean KL(neighbour || item) over the nearest labelled items; multi-label: for each class, reduced.

    Euclidean neighbours among the labelled items of which finite features and probabilities are known; without any there
    is no opinion on anything. Rows outside the sample: NaN. PoolError for features of the pool that are not finite.
    """
    known, seen = _comparable(labeled, rng)
    rows = sample(pool.ids, max_pool, rng)
    utility = np.full(len(pool), np.nan)
    notes = [sampled_note(len(rows), len(pool))] if len(rows) < len(pool) else []
    if len(known) < seen:
        notes.append(labelled_sampled_note(len(known), seen))
    if len(known):
        features = take_rows(labeled.features, known)
        theirs = take_rows(labeled.proba, known)
        reduce: Callable[[Array], Array] | None = None
        if pool.multi_label:

            def reduce(block: Array) -> Array:
                return reduce_axis(block, reduction, k=top_k, axis=0)

        at_once = max(1, min(_ROWS, _ENTRIES // (min(neighbours, len(known)) * theirs.shape[1])))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            if not finite_rows(pool.features, part).all():
                raise not_finite()
            near = nearest_indices(take_rows(pool.features, part), features, neighbours)
            utility[part] = to_numpy(divergence(take_rows(pool.proba, part), theirs, near, reduce))
    else:
        notes.append(Note("labelled-unseen", "There are no labelled items with features to compare with."))

    def explain(row: int) -> dict[str, Any]:
        return {"kind": "contrastive", **rivals(pool, row)}

    return rank_by_utility(pool, utility, n, rng, explain=explain, notes=notes)


def divergence(
    proba: Array, theirs: Array, near: Array, reduce: Callable[[Array], Array] | None = None
) -> Array:
    """Mean over k neighbours of KL(neighbour || item), (m,), at least 0.

    proba (m, C) of the items, theirs (l, C) of the labelled, near (m, k) their indices. With `reduce` each class is
    a label of its own, and `reduce` makes (m,) of the classes' divergences (C, m).
    """
    xp = namespace(proba)
    # Mean of KL(q || p) = mean of sum q log q - sum of (mean q) log p, so that only means of neighbours are needed.
    mean = _mean_of(theirs, near)
    if reduce is None:
        own = _mean_of(map_classes_first(lambda block: xp.sum(xlogx(block), axis=0), theirs)[:, None], near)
        return xp.clip(own[:, 0] - xp.sum(_times_log(mean, proba), axis=1), min=0.0)
    own = _mean_of(xlogx(theirs) + xlogx(1 - theirs), near)
    apart = own - _times_log(mean, proba) - _times_log(1 - mean, 1 - proba)
    return reduce(xp.permute_dims(xp.clip(apart, min=0.0), (1, 0)))


def _mean_of(values: Array, near: Array) -> Array:
    """Mean (m, C) of the rows of values (l, C) that near (m, k) names."""
    xp = namespace(values)
    taken = xp.take(values, xp.reshape(near, (-1,)), axis=0)
    return xp.mean(xp.reshape(taken, (*near.shape, values.shape[1])), axis=1)


def _times_log(weight: Array, proba: Array) -> Array:
    """q log p; a p of 0 counts as the smallest step of the number's kind, so that all stays finite."""
    xp = namespace(proba)
    return weight * xp.log(xp.clip(proba, min=xp.finfo(proba.dtype).eps))


def _comparable(labeled: Labeled, rng: np.random.Generator) -> tuple[Ints, int]:
    """Positions of the labelled items with features and probabilities, or of a random part of them; how many there are."""
    if labeled.features is None or labeled.proba is None:
        return np.empty(0, dtype=np.int64), 0
    said = np.flatnonzero(~np.isnan(to_numpy(labeled.proba)).any(axis=1))
    said = said[finite_rows(labeled.features, said)]
    return np.sort(said[sample(labeled.ids[said], MOST_LABELED, rng)]), len(said)
