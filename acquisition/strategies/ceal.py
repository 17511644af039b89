"""CEAL-style: people are asked what the model doubts; what it is sure of comes last and is counted."""

from typing import Any

import numpy as np

from acquisition import scores
from acquisition.arrays import Array, map_classes_first, to_numpy
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_utility
from acquisition.reduce import REDUCTION_PARAMS, reduce_axis
from acquisition.registry import StrategySpec, strategy

CRITERIA = {
    "margin": (scores.margin, scores.binary_margin),
    "least_confidence": (scores.least_confidence, scores.binary_least_confidence),
    "entropy": (scores.entropy, scores.binary_entropy),
}
# Items that the model is sure of lie below this, all others above it.
SURE_BELOW = 1e-3
_STEP = 100  # labels


@strategy(
    StrategySpec(
        key="ceal",
        title="Cost-effective (CEAL)",
        advice="Use it when the model's own labels are to be taken where it is sure, so that people see none of those.",
        needs=frozenset({"proba"}),
        params={
            "criterion": {
                "type": "string",
                "enum": list(CRITERIA),
                "default": "margin",
                "title": "Doubt by",
                "description": "What the other items are ranked by.",
            },
            "threshold": {
                "type": "number",
                "default": 0.05,
                "minimum": 0,
                "maximum": 1,
                "title": "Sure below",
                "description": "The model is sure where its entropy, as a share of the largest possible, is below this.",
            },
            "decay": {
                "type": "number",
                "default": 0.05,
                "minimum": 0,
                "maximum": 0.99,
                "title": "Stricter by",
                "description": "By what share the threshold falls with every hundred labels.",
            },
            **REDUCTION_PARAMS,
        },
        reference="Wang et al. 2017, Cost-effective active learning for deep image classification",
    )
)
def ceal(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    criterion: str,
    threshold: float,
    decay: float,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Utility: doubt by the criterion; for items below the threshold far smaller than for any other, in its order.

    The threshold is `threshold` (1 - decay)^(labels / 100) on the entropy / log C, for multi-label on the largest
    entropy of a class in bits: an item is sure where all of its classes are. A note says how many items are sure.
    """
    single, per_class = CRITERIA[criterion]
    if pool.multi_label:
        doubt = map_classes_first(_reduced(per_class, reduction, top_k), pool.proba)
        entropy = map_classes_first(_reduced(scores.binary_entropy, "max", 1), pool.proba)
    else:
        doubt, entropy = single(pool.proba), scores.entropy(pool.proba)
    values = to_numpy(doubt).astype(np.float64)
    limit = threshold * (1 - decay) ** (len(labeled) / _STEP)
    sure = to_numpy(entropy) < limit
    # A sum of classes goes beyond 1, so the scale is taken from the values.
    largest = max(1.0, float(values.max()))
    utility = np.where(sure, SURE_BELOW * values / largest, SURE_BELOW + (1 - SURE_BELOW) * values / largest)
    count = int(sure.sum())
    message = f"The model is sure about {count:,} of {len(pool):,} items (entropy below {limit:.3g}); they come last."
    note = Note("sure", message, {"sure": count, "threshold": limit})

    def explain(row: int) -> dict[str, Any]:
        assert pool.proba is not None
        proba = to_numpy(pool.proba[row, :]).astype(np.float64)
        best = np.argsort(-(-abs(2 * proba - 1) if pool.multi_label else proba), kind="stable")[:2]
        named = "labels" if pool.multi_label else "classes"
        return {
            "kind": "ceal",
            named: best.tolist(),
            "probabilities": proba[best].tolist(),
            "sure": bool(sure[row]),
        }

    return rank_by_utility(pool, utility, n, rng, explain=explain, notes=[note] if count else [])


def _reduced(per_class: Any, how: str, k: int) -> Any:
    def reduced(block: Array) -> Array:
        return reduce_axis(per_class(block), how, k=k, axis=0)

    return reduced
