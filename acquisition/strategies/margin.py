"""Margin: where two classes compete."""

import numpy as np

from acquisition import scores
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._uncertainty import rank_by_uncertainty


@strategy(
    StrategySpec(
        key="margin",
        title="Margin",
        advice="Use it when a model exists and the aim is accuracy: a good default for many classes, and robust to long tails.",
        needs=frozenset({"proba"}),
        params=REDUCTION_PARAMS,
        reference="Scheffer, Decomain and Wrobel 2001, Active hidden Markov models for information extraction",
    )
)
def margin(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: 1 - (largest - second largest); multi-label: 1 - |2p - 1|, reduced over the classes."""
    return rank_by_uncertainty(
        pool,
        n,
        rng,
        kind="margin",
        single=scores.margin,
        per_class=scores.binary_margin,
        reduction=reduction,
        top_k=top_k,
    )
