"""Graph cut (dataset quantization): a small set like the pool, drawn evenly from its dense and its sparse parts."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, namespace, take_rows, to_numpy
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import deal
from acquisition.strategies._features import arrange, max_pool_param


@strategy(
    StrategySpec(
        key="graph_cut",
        title="Graph cut (dataset quantization)",
        advice="Use it to start without a model when the first labels should be like the pool: typical items and rare ones.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            "bins": {
                "type": "integer",
                "default": 10,
                "minimum": 1,
                "maximum": 100,
                "title": "Bins",
                "description": "Parts of the pool from dense to sparse that are drawn from alike; 1 = the most central items.",
            },
            "balance": {
                "type": "number",
                "default": 1.0,
                "minimum": 0,
                "maximum": 100,
                "title": "Weight of being typical",
                "description": "How much likeness to the pool counts beside unlikeness to what is in the bin already.",
            },
            **max_pool_param(5_000, 20_000),
        },
        reference="Zhou et al. 2023, Dataset quantization",
        version=2,
    )
)
def graph_cut(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    bins: int,
    balance: float,
    max_pool: int,
) -> Ranking:
    """Bins filled by graph cut, one after the other; then a random item of each bin in turns, dense bins first.

    With one bin, of n items, the order is that of the graph cut. Labelled items count as chosen in every bin. Where the
    pool is sampled, they (and the picks of the one bin) weigh as much less as the items considered are fewer. Utility: mean cosine similarity to the items considered. O(m^2 D) time for m of these; others: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng, normalise=True, with_known=True)
    xp = namespace(view.features)
    bins = min(bins, len(view))
    share = len(view) / len(pool)
    # Each of a sample of the labelled items stands for several.
    known_weight = share * len(labeled) / max(1, view.known.shape[0])
    if bins == 1:
        binned = np.zeros(len(view), dtype=np.int64)
        order = graph_cut_order(
            view.features, n, known=view.known, balance=balance, known_weight=known_weight, pick_weight=share
        )
    else:
        binned = graph_cut_bins(
            view.features, bins, known=view.known, balance=balance, known_weight=known_weight
        )
        order = deal(binned, rng.random(len(view)), np.arange(bins))
    mean = xp.mean(view.features, axis=0)
    utility, bin_of = view.over_pool(to_numpy(view.features @ mean)), view.over_pool(binned)

    def explain(row: int) -> Mapping[str, object]:
        return {
            "kind": "graph_cut",
            "bin": int(bin_of[row]) + 1,
            "bins": bins,
            "similarity": float(utility[row]),
        }

    return rank_by_order(pool, view.rows[order], utility, n, rng, explain=explain, notes=view.notes)


def graph_cut_order(
    rows: Array,
    n: int,
    *,
    known: Array | None = None,
    balance: float = 1.0,
    known_weight: float = 1.0,
    pick_weight: float = 1.0,
) -> Ints:
    """Positions of min(n, m) rows (m, D), each the one of largest gain: balance x sum of its similarities to all rows
    - 2 x weighted sum of those to the rows chosen before and to `known` (l, D).

    Similarity is the inner product: the gains of all rows change by one product for each choice, and no matrix of
    similarities is made. For unit rows the order is that under (1 + cosine) / 2 as well.
    """
    xp = namespace(rows)
    pull = balance * xp.sum(rows, axis=0)
    if known is not None and known.shape[0]:
        pull = pull - 2 * known_weight * xp.sum(known, axis=0)
    gain = rows @ pull
    order = []
    for _ in range(min(n, rows.shape[0])):
        pick = int(xp.argmax(gain))
        gain = gain - 2 * pick_weight * (rows @ rows[pick, :])
        # Nothing that is taken off later brings it back.
        gain[pick] = -xp.inf
        order.append(pick)
    return np.array(order, dtype=np.int64)


def graph_cut_bins(
    rows: Array, bins: int, *, known: Array | None = None, balance: float = 1.0, known_weight: float = 1.0
) -> npt.NDArray[np.int64]:
    """Bin (m,) of each row, 0 first filled: each bin takes its share of what the bins before it left, by graph cut."""
    m = rows.shape[0]
    binned = np.full(m, bins - 1, dtype=np.int64)
    left = np.arange(m)
    for number, share in enumerate(np.array_split(left, bins)[:-1]):
        taken = graph_cut_order(
            take_rows(rows, left), len(share), known=known, balance=balance, known_weight=known_weight
        )
        binned[left[taken]] = number
        left = np.delete(left, taken)
    return binned
