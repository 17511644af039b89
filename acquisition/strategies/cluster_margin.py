"""Cluster-margin: narrow margins, dealt from groups so that none of them fills the batch."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Ints, take_rows, to_numpy, widen
from acquisition.hashing import draw_seed
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, descending, rank_by_order
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import deal
from acquisition.strategies._features import not_finite
from acquisition.strategies._uncertainty import explain_by_classes, uncertainty_of

# Distances between all pairs of candidates are held at once: 64 MiB for so many.
MOST_CANDIDATES = 4_000
# Of the paper: groups are cut so that there is one for each 1.25 items of the batch.
_ITEMS_PER_GROUP = 1.25


@strategy(
    StrategySpec(
        key="cluster_margin",
        title="Cluster-margin",
        advice="Use it when batches are large and the pool has many alike items: narrow margins, but not all of one kind.",
        needs=frozenset({"proba", "features"}),
        batch_aware=True,
        params={
            "candidates": {
                "type": "integer",
                "default": 10,
                "minimum": 1,
                "maximum": 100,
                "title": "Candidates for each place",
                "description": "Groups are made of so many times the batch, those of the narrowest margins; 1 is margin alone.",
            },
            **REDUCTION_PARAMS,
        },
        reference="Citovsky et al. 2021, Batch active learning at scale",
    )
)
def cluster_margin(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    candidates: int,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Average-linkage groups of the items of narrowest margin; dealt in turns, small groups first, narrow ones first.

    Utility: 1 - margin. Groups are those of the candidates (at most 4,000) and not of the whole pool, as in the paper,
    whose grouping takes a time that grows with its square. Places beyond the candidates follow the margin.
    """
    utility = to_numpy(uncertainty_of(pool, "margin", reduction, top_k)).astype(np.float64)
    seed = draw_seed(rng)
    wanted = min(len(pool), candidates * n)
    ranked = descending(utility, pool.ids, max(n, min(wanted, MOST_CANDIDATES)), seed)
    head, rest = ranked[:MOST_CANDIDATES], ranked[MOST_CANDIDATES:]
    features = to_numpy(widen(take_rows(pool.features, head))).astype(np.float64)
    group = _groups(features, max(1, int(min(n, len(head)) / _ITEMS_PER_GROUP)))
    sizes, first = _sizes_and_first(group)
    dealt = deal(group, -np.arange(len(head), dtype=np.float64), np.lexsort((first, sizes)))
    size_of = dict(zip(head.tolist(), sizes[group].tolist(), strict=True))
    told = explain_by_classes(pool, "margin")

    def explain(row: int) -> Mapping[str, object]:
        grouped = {"group_size": size_of[row]} if row in size_of else {}
        return {**told(row), "kind": "cluster_margin", **grouped}

    notes = []
    if wanted > MOST_CANDIDATES:
        message = f"Groups were made of {MOST_CANDIDATES:,} candidates instead of {wanted:,}."
        notes.append(Note("candidates", message, {"candidates": MOST_CANDIDATES, "wanted": wanted}))
    order = np.concatenate([head[dealt], rest])
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)


def _groups(features: npt.NDArray[np.float64], count: int) -> Ints:
    """At most `count` groups (m,) by average linkage of Euclidean distances."""
    if not np.isfinite(features).all():
        raise not_finite()
    if len(features) < 2:
        return np.zeros(len(features), dtype=np.int64)
    # Here and not above: processes that only list strategies have no need of it.
    from scipy.cluster import hierarchy

    tree = hierarchy.linkage(features, method="average")
    return np.asarray(hierarchy.fcluster(tree, count, criterion="maxclust"), dtype=np.int64) - 1


def _sizes_and_first(group: Ints) -> tuple[Ints, Ints]:
    """Of each group its size and its first member: groups have no order of their own."""
    sizes = np.bincount(group)
    first = np.full(len(sizes), len(group), dtype=np.int64)
    np.minimum.at(first, group, np.arange(len(group)))
    return sizes, first
