"""Least confidence: where the best guess is weakest."""

import numpy as np

from acquisition import scores
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._uncertainty import rank_by_uncertainty


@strategy(
    StrategySpec(
        key="least_confidence",
        title="Least confidence",
        advice="Use it when the probability of the best guess is what is acted on, as in automatic acceptance above a threshold.",
        needs=frozenset({"proba"}),
        params=REDUCTION_PARAMS,
        reference="Lewis and Gale 1994, A sequential algorithm for training text classifiers",
    )
)
def least_confidence(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: 1 - largest probability; multi-label: 2 min(p, 1-p), reduced over the classes."""
    return rank_by_uncertainty(
        pool,
        n,
        rng,
        kind="least_confidence",
        single=scores.least_confidence,
        per_class=scores.binary_least_confidence,
        reduction=reduction,
        top_k=top_k,
    )
