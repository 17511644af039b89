"""TypiClust: the most typical item of every group that has no label yet."""

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, namespace, to_numpy
from acquisition.clustering import k_means
from acquisition.neighbours import neighbour_distances
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import MAX_CLUSTERS, capped_note, deal
from acquisition.strategies._features import arrange, max_pool_param

# Of the paper: clusters of at most five rows have no centre worth asking for.
SMALL_CLUSTER = 5
# Of a larger cluster so many members are looked at as neighbours: time stays in proportion to the pool.
MOST_MEMBERS = 5_000
_EPSILON = 1e-5


@strategy(
    StrategySpec(
        key="typicality",
        title="Typicality (TypiClust)",
        advice="Use it to start: while labels are fewer than about ten per class, typical items teach most.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            **max_pool_param(100_000, 1_000_000),
            "neighbours": {
                "type": "integer",
                "default": 20,
                "minimum": 1,
                "maximum": 200,
                "title": "Neighbours",
                "description": "How many nearest neighbours the density is measured on; half of a small cluster.",
            },
        },
        reference="Hacohen, Dekel and Weinshall 2022, Active learning on a budget",
        version=2,
    )
)
def typicality(
    pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, max_pool: int, neighbours: int
) -> Ranking:
    """Clusters of labelled and unlabelled rows together, few labels first, then large ones; of each the most typical.

    Features of a frozen encoder, not of the task model. min(|L| + n, 500) clusters; utility: typicality, 1 / mean
    Euclidean distance to the nearest unlabelled rows of the same cluster, itself excluded. Clusters of at most 5
    unlabelled rows come last. Rows outside the sample: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng, centre=True, with_known=True)
    wanted = min(len(labeled) + n, MAX_CLUSTERS)
    clusters = k_means(view.everything, max(1, wanted), rng)
    k = clusters.centres.shape[0]
    label = clusters.label[: len(view)]
    size = np.bincount(label, minlength=k)
    labels_in = np.bincount(clusters.label[len(view) :], minlength=k)
    typical = _typicality(view.features, label, k, neighbours)
    precedence = np.lexsort((-size, labels_in, size <= SMALL_CLUSTER))
    order = view.rows[deal(label, typical, precedence)]
    utility, cluster = view.over_pool(typical), view.over_pool(label)

    def explain(row: int) -> dict[str, object]:
        number = int(cluster[row])
        return {
            "kind": "typicality",
            "cluster_size": int(size[number]),
            "labels_in_cluster": int(labels_in[number]),
            "typicality": float(utility[row]),
        }

    notes = [*view.notes, *capped_note(k, min(len(labeled) + n, view.everything.shape[0]))]
    crowded = int((size > MOST_MEMBERS).sum())
    if crowded:
        message = f"In {crowded} large groups, neighbours were sought among {MOST_MEMBERS:,} of their items."
        notes.append(Note("neighbours-sampled", message, {"groups": crowded, "members": MOST_MEMBERS}))
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)


def _typicality(features: Array, label: Ints, clusters: int, neighbours: int) -> npt.NDArray[np.float64]:
    """(n,); 0 for a row that is alone in its cluster: nothing is less typical."""
    xp = namespace(features)
    typical = np.zeros(len(label))
    by_cluster = np.split(
        np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=clusters))[:-1]
    )
    for members in by_cluster:
        if len(members) > 1:
            k = min(neighbours, max(1, len(members) // 2))
            distances = neighbour_distances(features, k, among=MOST_MEMBERS, members=members)
            typical[members] = 1 / (to_numpy(xp.mean(distances, axis=1)).astype(np.float64) + _EPSILON)
    return typical
