"""Robust active distillation: what to ask somebody who is sometimes wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import scores
from acquisition.arrays import map_classes_first, to_numpy
from acquisition.hashing import draw_seed, item_keys, uniforms
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order
from acquisition.reasons import rivals
from acquisition.reduce import REDUCTION_PARAMS, reduce_axis
from acquisition.registry import StrategySpec, strategy

Doubles = npt.NDArray[np.float64]

# No gain is nothing at all, or an item would be drawn for ever.
_LEAST_GAIN = 1e-6


@strategy(
    StrategySpec(
        key="robust_distillation",
        title="Robust active distillation",
        advice="Use it when answers come from a teacher that errs, as a large model or a crowd, and its share of errors is known.",
        needs=frozenset({"proba"}),
        batch_aware=True,
        params={
            "errors": {
                "type": "number",
                "default": 0.25,
                "minimum": 0,
                "maximum": 1,
                "title": "Share of wrong answers",
                "description": "What share of the teacher's answers is expected to be wrong, wherever that hurts most.",
            },
            "harm": {
                "type": "integer",
                "enum": [1, 2],
                "default": 1,
                "title": "A wrong answer costs",
                "description": "1: it teaches nothing. 2: it harms as much as a right one helps.",
            },
            **REDUCTION_PARAMS,
        },
        reference="Baykal et al. 2023, Robust active distillation",
    )
)
def robust_distillation(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    errors: float,
    harm: int,
    reduction: str,
    top_k: int,
) -> Ranking:
    """A draw without replacement from the distribution that gains most if the wrong answers fall where they hurt.

    Utility: the gain, 1 - margin, for multi-label reduced over the classes. Where fewer items than n are in the
    distribution, the rest follow by gain.
    """
    if pool.multi_label:
        gain = map_classes_first(
            lambda block: reduce_axis(scores.binary_margin(block), reduction, k=top_k, axis=0), pool.proba
        )
    else:
        gain = scores.margin(pool.proba)
    gains = np.maximum(to_numpy(gain).astype(np.float64), _LEAST_GAIN)
    q = worst_case_distribution(gains, errors * len(gains), harm)
    # First arrivals of exponential clocks with rates q; the noise belongs to the ids.
    clock = -np.log(uniforms(item_keys(draw_seed(rng), pool.ids)))
    with np.errstate(divide="ignore"):
        order = np.lexsort((clock, -gains, np.where(q > 0, clock / q, np.inf)))
    hopeless = Note("hopeless", "With so many wrong answers no choice is better than a random one.")
    notes = (hopeless,) if harm * errors >= 1 else ()

    def explain(row: int) -> dict[str, Any]:
        return {"kind": "robust_distillation", "probability_drawn": float(q[row]), **rivals(pool, row)}

    return rank_by_order(pool, order, gains, n, rng, explain=explain, notes=notes)


def worst_case_distribution(gains: Doubles, wrong: float, harm: float) -> Doubles:
    """q (n,), which sums to 1, with the largest gain when an adversary spoils the `wrong` answers that gain most.

    Gains (n,) above 0, in descending order g: q_i = 1 / (g_i H_k) for the k first, where H_k is the sum of their
    1 / g and k maximises (k - harm * wrong) / H_k. Uniform where no k leaves a gain. Equal gains get equal q.
    """
    if harm * wrong >= len(gains):
        return np.full(len(gains), 1 / len(gains))
    order = np.argsort(-gains, kind="stable")
    inverse = 1 / gains[order]
    total = np.cumsum(inverse)
    worth = (np.arange(1, len(gains) + 1) - harm * wrong) / total
    # Equal gains are all worth including or none is, but for rounding.
    least = gains[order[int(np.argmax(worth))]]
    q = np.where(gains >= least, 1 / gains, 0.0)
    return np.asarray(q / q.sum(), dtype=np.float64)
