"""Core-set: always the item farthest from everything that is labelled or chosen."""

from collections.abc import Mapping

import numpy as np

from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.space import make_space, nearest_squared
from acquisition.spreading import farthest_first
from acquisition.strategies._features import NORMALISE_PARAM, arrange, max_pool_param


@strategy(
    StrategySpec(
        key="core_set",
        title="Core-set (k-centre greedy)",
        advice="Use it when no kind of item may be missed, rare ones included; it also finds whatever is odd or broken.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            **NORMALISE_PARAM,
            "outliers": {
                "type": "number",
                "default": 0.0,
                "minimum": 0,
                "maximum": 0.2,
                "title": "Share of outliers",
                "description": "So large a share of the items, the most remote ones, is passed over at each choice.",
            },
            **max_pool_param(1_000_000, 2_000_000),
        },
        reference="Sener and Savarese 2018, Active learning for convolutional neural networks: a core-set approach",
    )
)
def core_set(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    normalise: bool,
    outliers: float,
    max_pool: int,
) -> Ranking:
    """k-centre greedy; without labels the item nearest to the middle begins. Rows outside the sample: NaN.

    Utility: Euclidean distance to the nearest labelled or chosen item; of a chosen one, when it was chosen.
    """
    view = arrange(pool, labeled, max_pool, rng, normalise=normalise, centre=True, with_known=True)
    points = make_space(view.features)
    known = nearest_squared(points, make_space(view.known)) if view.known.shape[0] else None
    found = farthest_first(points, max(1, n), known=known, passed_over=int(outliers * len(view)))
    utility = found.distance.astype(np.float64)
    utility[found.picks] = found.reach
    over_pool = view.over_pool(utility)

    def explain(row: int) -> Mapping[str, object]:
        return {"kind": "core_set", "distance": float(over_pool[row])}

    order = view.rows[found.picks]
    return rank_by_order(pool, order, over_pool, n, rng, explain=explain, notes=view.notes)
