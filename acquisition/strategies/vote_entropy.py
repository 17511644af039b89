"""Vote entropy: where the members' votes are spread over the classes."""

import numpy as np

from acquisition import committee
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import rank_by_disagreement


@strategy(
    StrategySpec(
        key="vote_entropy",
        title="Vote entropy",
        advice="Use it when members disagree on many classes at once and how they spread matters more than how sure each is.",
        needs=frozenset({"draws"}),
        params={**REDUCTION_PARAMS, **committee.member_params()},
        reference="Dagan and Engelson 1995, Committee-based sampling for training probabilistic classifiers",
    )
)
def vote_entropy(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: entropy of the votes / log min(C, M); multi-label: entropy of the votes on each class in bits, reduced over the classes."""
    return rank_by_disagreement(
        pool,
        n,
        rng,
        kind="vote_entropy",
        single=committee.vote_entropy,
        per_class=committee.binary_vote_entropy,
        reduction=reduction,
        top_k=top_k,
    )
