"""CLUE: one item from the middle of each group, where groups gather around what the model is unsure of."""

from collections.abc import Mapping

import numpy as np

from acquisition import scores
from acquisition.arrays import Array, map_classes_first, namespace, take_rows, to_numpy
from acquisition.clustering import k_means
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._clusters import MAX_CLUSTERS, capped_note, deal
from acquisition.strategies._features import arrange, max_pool_param

# A row of which the model is certain still weighs a little, or a pool of such rows would have no groups.
_LEAST = 1e-6


@strategy(
    StrategySpec(
        key="clue",
        title="CLUE",
        advice="Use it when the pool differs from what the model has learned: it covers the regions where it is unsure.",
        needs=frozenset({"proba", "features"}),
        batch_aware=True,
        params={
            "temperature": {
                "type": "number",
                "default": 1.0,
                "minimum": 0.05,
                "maximum": 10,
                "title": "Temperature",
                "description": "Above 1 all items weigh more alike and groups spread; below 1 only unsure items weigh.",
            },
            **max_pool_param(1_000_000, 2_000_000),
        },
        reference="Prabhu et al. 2021, Active domain adaptation via clustering uncertainty-weighted embeddings",
    )
)
def clue(
    pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, temperature: float, max_pool: int
) -> Ranking:
    """k-means weighted by entropy; the item nearest to each centre, groups of much entropy first.

    Utility: -distance to the centre. At most 500 groups: further items are the next nearest of each, in turns.
    Entropy / log C of the probabilities at that temperature; multi-label: mean entropy of the labels in bits. Rows
    outside the sample: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng, centre=True)
    softened = _soften(take_rows(pool.proba, view.rows), temperature, multi_label=pool.multi_label)
    entropy = to_numpy(_entropy(softened, multi_label=pool.multi_label)).astype(np.float64)
    weights = np.maximum(entropy, _LEAST)
    clusters = k_means(view.features, max(1, min(n, MAX_CLUSTERS)), rng, weights=weights)
    sizes = clusters.sizes()
    mass = np.bincount(clusters.label, weights=weights, minlength=len(sizes))
    order = view.rows[deal(clusters.label, -clusters.distance, np.argsort(-mass, kind="stable"))]
    utility, size_of, entropy_of = (
        view.over_pool(values) for values in (-clusters.distance, sizes[clusters.label], entropy)
    )

    def explain(row: int) -> Mapping[str, object]:
        return {
            "kind": "clue",
            "cluster_size": int(size_of[row]),
            "distance": float(-utility[row]),
            "entropy": float(entropy_of[row]),
        }

    notes = (*view.notes, *capped_note(len(sizes), min(n, len(pool))))
    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)


def _soften(proba: Array, temperature: float, *, multi_label: bool) -> Array:
    """Probabilities of logits divided by the temperature; exact at 0 and 1."""
    if temperature == 1:
        return proba
    xp = namespace(proba)
    if multi_label:
        yes, no = proba ** (1 / temperature), (1 - proba) ** (1 / temperature)
        return yes / (yes + no)
    # The largest is divided out first, or small probabilities would vanish all together.
    powers = (proba / xp.max(proba, axis=1, keepdims=True)) ** (1 / temperature)
    return powers / xp.sum(powers, axis=1, keepdims=True)


def _entropy(proba: Array, *, multi_label: bool) -> Array:
    if not multi_label:
        return scores.entropy(proba)
    xp = namespace(proba)
    return map_classes_first(lambda block: xp.mean(scores.binary_entropy(block), axis=0), proba)
