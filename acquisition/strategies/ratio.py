"""Ratio: how close the second guess comes to the first."""

import numpy as np

from acquisition import scores
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._uncertainty import rank_by_uncertainty


@strategy(
    StrategySpec(
        key="ratio",
        title="Ratio",
        advice="Use it when what matters is how close the runner-up comes to the best guess, whatever the rest gets.",
        needs=frozenset({"proba"}),
        params=REDUCTION_PARAMS,
        reference="Monarch 2021, Human-in-the-loop machine learning, chapter 3",
    )
)
def ratio(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: second largest / largest probability; multi-label: min(p, 1-p) / max(p, 1-p), reduced over the classes."""
    return rank_by_uncertainty(
        pool,
        n,
        rng,
        kind="ratio",
        single=scores.ratio,
        per_class=scores.binary_ratio,
        reduction=reduction,
        top_k=top_k,
    )
