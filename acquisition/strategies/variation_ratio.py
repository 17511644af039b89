"""Variation ratio: where most members vote against the others."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement

AGAINST = {"mode": committee.variation_ratio, "mean": committee.dissent}


@strategy(
    StrategySpec(
        key="variation_ratio",
        title="Variation ratio",
        advice="Use it when members should be counted and not weighed, as with few members that are all overconfident.",
        needs=frozenset({"draws"}),
        params={
            "against": {
                "type": "string",
                "enum": list(AGAINST),
                "default": "mode",
                "title": "Votes against",
                "description": "Against the class with most votes (mode), or the likeliest class of the members' mean.",
                "x-tasks": ["single"],
            },
            **REDUCTION_PARAMS,
            **committee.member_params(),
        },
        reference="Freeman 1965, Elementary applied statistics; Beluch et al. 2018, The power of ensembles",
    )
)
def variation_ratio(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    against: str,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: share of the members that vote otherwise; multi-label: twice the minority of each class, reduced.

    It takes few different values, so that ties are many; they are ordered by a hash of the ids.
    """
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="variation_ratio",
        single=AGAINST[against],
        per_class=committee.binary_variation_ratio,
        reduction=reduction,
        top_k=top_k,
    )
