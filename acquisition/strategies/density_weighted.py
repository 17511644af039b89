"""Density-weighted uncertainty: unsure items, but those that many others are like."""

from collections.abc import Mapping

import numpy as np

from acquisition.arrays import Array, namespace, to_numpy, widen
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.space import blocks
from acquisition.strategies._features import not_finite
from acquisition.strategies._uncertainty import SCORES, explain_by_classes, uncertainty_of


@strategy(
    StrategySpec(
        key="density_weighted",
        title="Density-weighted uncertainty",
        advice="Use it when the most unsure items turn out to be oddities: what is like nothing else is put back.",
        needs=frozenset({"proba", "features"}),
        params={
            "uncertainty": {
                "type": "string",
                "enum": sorted(SCORES),
                "default": "entropy",
                "title": "Uncertainty",
                "description": "What is multiplied with the density.",
            },
            "beta": {
                "type": "number",
                "default": 1.0,
                "minimum": 0,
                "maximum": 10,
                "title": "Strength of the density",
                "description": "The density is raised to this power; 0 leaves it out.",
            },
            **REDUCTION_PARAMS,
        },
        reference="Settles and Craven 2008, An analysis of active learning strategies for sequence labeling tasks",
    )
)
def density_weighted(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    uncertainty: str,
    beta: float,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: uncertainty x density^beta; density: mean cosine similarity to the items of the pool, 0 where negative.

    Exact in two passes: the mean of cosines is the product with the mean direction.
    """
    unsure = to_numpy(uncertainty_of(pool, uncertainty, reduction, top_k)).astype(np.float64)
    density = to_numpy(mean_cosine(pool.features)).astype(np.float64)
    told = explain_by_classes(pool, uncertainty)

    def explain(row: int) -> Mapping[str, object]:
        return {**told(row), "kind": "density_weighted", "density": float(density[row])}

    return rank_by_utility(pool, unsure * np.maximum(density, 0) ** beta, n, rng, explain=explain)


def mean_cosine(features: Array) -> Array:
    """Mean cosine (n,) of each row (n, D) with all rows, itself included; O(n D). A row of zeros has 0."""
    xp = namespace(features)
    parts = list(blocks(*features.shape))
    total = xp.sum(xp.stack([xp.sum(_directions(features, *part), axis=0) for part in parts]), axis=0)
    mean = total / max(1, features.shape[0])
    # Row by row and not as one product: equal rows must stay equal to the last bit, for ties belong to the ids.
    cosines = xp.concat([xp.vecdot(_directions(features, *part), mean[None, :]) for part in parts])
    if not bool(xp.all(xp.isfinite(cosines))):
        raise not_finite()
    return cosines


def _directions(features: Array, start: int, stop: int) -> Array:
    xp = namespace(features)
    block = widen(features[start:stop, :])
    lengths = xp.sqrt(xp.vecdot(block, block))[:, None]
    return block / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
