"""k-means: one item from the middle of each of n groups."""

import numpy as np

from acquisition.clustering import k_means
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import MAX_CLUSTERS, capped_note, deal
from acquisition.strategies._features import arrange, max_pool_param


@strategy(
    StrategySpec(
        key="kmeans",
        title="k-means",
        advice="Use it to start without a model when the first labels should cover the whole pool.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params=max_pool_param(1_000_000, 2_000_000),
        reference="Nguyen and Smeulders 2004, Active learning using pre-clustering",
        version=2,
    )
)
def kmeans(pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, max_pool: int) -> Ranking:
    """The item nearest to the centre of each of n clusters, large clusters first; utility: -distance to the centre.

    At most 500 clusters: further items are the next nearest of each, in turns. Rows outside the sample: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng, centre=True)
    clusters = k_means(view.features, max(1, min(n, MAX_CLUSTERS)), rng)
    sizes = clusters.sizes()
    order = view.rows[deal(clusters.label, -clusters.distance, np.argsort(-sizes, kind="stable"))]
    utility, size_of = view.over_pool(-clusters.distance), view.over_pool(sizes[clusters.label])

    def explain(row: int) -> dict[str, object]:
        return {"kind": "kmeans", "cluster_size": int(size_of[row]), "distance": float(-utility[row])}

    notes = (*view.notes, *capped_note(len(sizes), min(n, len(pool))))
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)
