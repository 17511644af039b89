"""Entropy: where the whole distribution is flat."""

import numpy as np

from acquisition import scores
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._uncertainty import rank_by_uncertainty


@strategy(
    StrategySpec(
        key="entropy",
        title="Entropy",
        advice="Use it when all classes matter alike and are few; with many classes, small probabilities drown the contest.",
        needs=frozenset({"proba"}),
        params=REDUCTION_PARAMS,
        reference="Shannon 1948; Settles 2009, Active learning literature survey",
    )
)
def entropy(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: entropy / log C; multi-label: entropy of each class in bits, reduced over the classes."""
    return rank_by_uncertainty(
        pool,
        n,
        rng,
        kind="entropy",
        single=scores.entropy,
        per_class=scores.binary_entropy,
        reduction=reduction,
        top_k=top_k,
    )
