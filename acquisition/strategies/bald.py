"""BALD: where the label would tell most about the model."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement


@strategy(
    StrategySpec(
        key="bald",
        title="BALD",
        advice="Use it when some items are ambiguous by nature: it asks where members are sure and differ, not where all of them doubt.",
        needs=frozenset({"draws"}),
        params={**REDUCTION_PARAMS, **committee.member_params()},
        reference="Houlsby, Huszár, Ghahramani and Lengyel 2011, Bayesian active learning for classification and preference learning",
    )
)
def bald(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: entropy of the mean - mean entropy of the members, / log C; multi-label: in bits for each class, reduced over the classes."""
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="bald",
        single=committee.bald,
        per_class=committee.binary_bald,
        reduction=reduction,
        top_k=top_k,
    )
