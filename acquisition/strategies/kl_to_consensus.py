"""KL to consensus: where members are far from their mean."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement

OVER = {
    "mean": (committee.mean_divergence, committee.binary_bald),
    "max": (committee.largest_divergence, committee.binary_largest_divergence),
}


@strategy(
    StrategySpec(
        key="kl_to_consensus",
        title="KL to consensus",
        advice="Use it when a committee's doubt should be asked about; with `max`, when one dissenter is reason enough.",
        needs=frozenset({"draws"}),
        params={
            "over": {
                "type": "string",
                "enum": list(OVER),
                "default": "mean",
                "title": "Over the members",
                "description": "The mean of the members' divergences, which ranks as BALD does, or the largest one.",
            },
            **REDUCTION_PARAMS,
            **committee.member_params(),
        },
        reference="McCallum and Nigam 1998, Employing EM and pool-based active learning for text classification",
    )
)
def kl_to_consensus(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    over: str,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: KL(member || mean of members), mean / log C or largest / log M; multi-label: per class, reduced."""
    single, per_class = OVER[over]
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="kl_to_consensus",
        single=single,
        per_class=per_class,
        reduction=reduction,
        top_k=top_k,
    )
