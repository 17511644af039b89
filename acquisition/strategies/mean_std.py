"""Mean standard deviation: where the members' probabilities differ most."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement


@strategy(
    StrategySpec(
        key="mean_std",
        title="Mean standard deviation",
        advice="Use it when differences between members should count in proportion: small ones little, large ones much.",
        needs=frozenset({"draws"}),
        params={**REDUCTION_PARAMS, **committee.member_params(kind="dropout")},
        reference="Kampffmeyer, Salberg and Jenssen 2016; Kendall, Badrinarayanan and Cipolla 2015, Bayesian SegNet",
    )
)
def mean_std(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: standard deviation of the members' probabilities, mean over the classes, times 2; multi-label: reduced over the classes."""
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="mean_std",
        single=committee.mean_deviation,
        per_class=committee.binary_deviation,
        reduction=reduction,
        top_k=top_k,
    )
