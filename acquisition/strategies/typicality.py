"""TypiClust: the most typical item of every group that has no label yet."""

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, namespace, take_rows, to_numpy
from acquisition.clustering import k_means
from acquisition.neighbours import neighbour_distances
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import (
    MAX_CLUSTERS,
    MAX_POOL_PARAM,
    capped_note,
    deal,
    sample,
    sample_notes,
)

# Of the paper: clusters of at most five rows have no centre worth asking for.
SMALL_CLUSTER = 5
_EPSILON = 1e-5


@strategy(
    StrategySpec(
        key="typicality",
        title="Typicality (TypiClust)",
        advice="Use it to start: while labels are fewer than about ten per class, typical items teach most.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            **MAX_POOL_PARAM,
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
    rows = sample(pool.ids, max_pool, rng)
    features = take_rows(pool.features, rows)
    known = _labelled_features(labeled, max_pool, rng)
    everything = features if known is None else namespace(features).concat([features, known])
    wanted = min(len(labeled) + n, MAX_CLUSTERS)
    clusters = k_means(everything, max(1, wanted), rng)
    k = clusters.centres.shape[0]
    label = clusters.label[: len(rows)]
    size = np.bincount(label, minlength=k)
    labels_in = np.bincount(clusters.label[len(rows) :], minlength=k)
    typical = _typicality(features, label, k, neighbours)
    precedence = np.lexsort((-size, labels_in, size <= SMALL_CLUSTER))
    order = rows[deal(label, typical, precedence)]
    utility = np.full(len(pool), np.nan)
    utility[rows] = typical
    cluster = np.full(len(pool), -1)
    cluster[rows] = label

    def explain(row: int) -> dict[str, object]:
        number = cluster[row]
        return {
            "kind": "typicality",
            "cluster_size": int(size[number]),
            "labels_in_cluster": int(labels_in[number]),
            "typicality": float(utility[row]),
        }

    notes = [*sample_notes(len(rows), len(pool)), *capped_note(k, min(len(labeled) + n, len(everything)))]
    if len(labeled) and known is None:
        notes.append(
            Note("labelled-unseen", "Labelled items have no features: groups with labels are not avoided.")
        )
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)


def _labelled_features(labeled: Labeled, cap: int, rng: np.random.Generator) -> Array | None:
    if labeled.features is None or not len(labeled):
        return None
    return take_rows(labeled.features, sample(labeled.ids, cap, rng))


def _typicality(features: Array, label: Ints, clusters: int, neighbours: int) -> npt.NDArray[np.float64]:
    """(n,); 0 for a row that is alone in its cluster: nothing is less typical."""
    typical = np.zeros(len(label))
    by_cluster = np.split(
        np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=clusters))[:-1]
    )
    for members in by_cluster:
        if len(members) > 1:
            k = min(neighbours, max(1, len(members) // 2))
            distances = to_numpy(neighbour_distances(take_rows(features, members), k)).astype(np.float64)
            typical[members] = 1 / (distances.mean(axis=1) + _EPSILON)
    return typical
