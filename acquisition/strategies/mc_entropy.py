"""Entropy of the mean over dropout members: doubt of the data and of the model together."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement


@strategy(
    StrategySpec(
        key="mc_entropy",
        title="MC-dropout entropy",
        advice="Use it when a single model is too sure of itself: the mean of members is better calibrated, at the price of asking about hopeless items too.",
        needs=frozenset({"draws"}),
        params={**REDUCTION_PARAMS, **committee.member_params(kind="dropout", members=20)},
        reference="Gal and Ghahramani 2016, Dropout as a Bayesian approximation",
    )
)
def mc_entropy(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: entropy of the members' mean / log C; multi-label: entropy of each class's mean in bits, reduced over the classes."""
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="mc_entropy",
        single=committee.mean_entropy,
        per_class=committee.binary_mean_entropy,
        reduction=reduction,
        top_k=top_k,
    )
