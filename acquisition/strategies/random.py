"""Random sampling: the baseline that every other strategy has to beat."""

import numpy as np

from acquisition.hashing import draw_seed, item_keys, uniforms
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy


@strategy(
    StrategySpec(
        key="random",
        title="Random",
        advice="Use it as the baseline, when labels should be representative, or when nothing is known yet.",
        reference="Cochran 1977, Sampling Techniques",
    )
)
def random(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator) -> Ranking:
    """Utility is a uniform number that belongs to the id, so it does not depend on the order of the rows."""
    utility = uniforms(item_keys(draw_seed(rng), pool.ids))
    return rank_by_utility(pool, utility, n, rng, explain=lambda _: {"kind": "random"})
