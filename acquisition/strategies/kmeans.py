"""k-means: one item from the middle of each of n groups."""

import numpy as np

from acquisition.arrays import take_rows
from acquisition.clustering import k_means
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import (
    MAX_CLUSTERS,
    MAX_POOL_PARAM,
    capped_note,
    deal,
    sample,
    sample_notes,
)


@strategy(
    StrategySpec(
        key="kmeans",
        title="k-means",
        advice="Use it to start without a model when the first labels should cover the whole pool.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params=MAX_POOL_PARAM,
        reference="Nguyen and Smeulders 2004, Active learning using pre-clustering",
    )
)
def kmeans(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, max_pool: int) -> Ranking:
    """The item nearest to the centre of each of n clusters, large clusters first; utility: -distance to the centre.

    At most 500 clusters: further items are the next nearest of each, in turns. Rows outside the sample: NaN.
    """
    rows = sample(pool.ids, max_pool, rng)
    clusters = k_means(take_rows(pool.features, rows), max(1, min(n, MAX_CLUSTERS)), rng)
    sizes = clusters.sizes()
    order = rows[deal(clusters.label, -clusters.distance, np.argsort(-sizes, kind="stable"))]
    utility = np.full(len(pool), np.nan)
    utility[rows] = -clusters.distance
    label = np.full(len(pool), -1)
    label[rows] = clusters.label

    def explain(row: int) -> dict[str, object]:
        return {"kind": "kmeans", "cluster_size": int(sizes[label[row]]), "distance": float(-utility[row])}

    notes = (*sample_notes(len(rows), len(pool)), *capped_note(len(sizes), min(n, len(pool))))
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)
