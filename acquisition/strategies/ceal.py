"""CEAL-style: people are asked what the model doubts; what it is sure of comes last and is counted."""

from typing import Any

import numpy as np

from acquisition.arrays import to_numpy
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_utility
from acquisition.reduce import REDUCTION_PARAMS
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._uncertainty import SCORES, explain_by_classes, uncertainty_of

# Items that the model is sure of lie below this, all others above it.
SURE_BELOW = 1e-3
_STEP = 100  # labels


@strategy(
    StrategySpec(
        key="ceal",
        title="Cost-effective (CEAL)",
        advice="Use it when the model is right where it is sure: people see what it doubts; the rest comes last and is counted.",
        needs=frozenset({"proba"}),
        params={
            "criterion": {
                "type": "string",
                "enum": sorted(SCORES),
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
    entropy of a class in bits: an item is sure where all of its classes are. A note says how many items are sure. That the
    method then learns from the model's own labels of these is a matter of training, and not done here.
    """
    values = to_numpy(uncertainty_of(pool, criterion, reduction, top_k)).astype(np.float64)
    limit = threshold * (1 - decay) ** (len(labeled) / _STEP)
    sure = to_numpy(uncertainty_of(pool, "entropy", "max", 1)) < limit
    # A sum of classes goes beyond 1, so the scale is taken from the values.
    largest = max(1.0, float(values.max()))
    utility = np.where(sure, SURE_BELOW * values / largest, SURE_BELOW + (1 - SURE_BELOW) * values / largest)
    count = int(sure.sum())
    message = f"The model is sure about {count:,} of {len(pool):,} items (entropy below {limit:.3g}); they come last."
    note = Note("sure", message, {"sure": count, "threshold": limit})

    told = explain_by_classes(pool, criterion)

    def explain(row: int) -> dict[str, Any]:
        return {**told(row), "kind": "ceal", "sure": bool(sure[row])}

    return rank_by_utility(pool, utility, n, rng, explain=explain, notes=[note] if count else [])
