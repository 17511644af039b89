"""Contrastive active sampling (LFTL): where the model wavers and the last round did not help."""

from typing import Any

import numpy as np

from acquisition.arrays import Array, Ints, map_classes_first, namespace, to_numpy, two_largest
from acquisition.hashing import draw_seed
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, descending, rank_by_utility
from acquisition.reasons import rivals
from acquisition.registry import StrategySpec, strategy

SPACES = ("prob", "log")


@strategy(
    StrategySpec(
        key="contrastive_active",
        title="Contrastive active sampling (LFTL)",
        advice="Use it when rounds are many and small: items that earn trust by themselves from round to round are left out.",
        needs=frozenset({"proba", "previous"}),
        tasks=frozenset({"single"}),
        params={
            "alpha": {
                "type": "number",
                "default": 0.03,
                "minimum": 0,
                "maximum": 1,
                "title": "Weight of the change",
                "description": "How far the change since the last round is carried on; 0 ignores it.",
            },
            "class_weight": {
                "type": "number",
                "default": 0.1,
                "minimum": 0,
                "maximum": 1,
                "title": "Weight of easy classes",
                "description": "How much items of classes that the model finds easy are put back; 0 ignores classes.",
            },
            "easiest": {
                "type": "integer",
                "default": 500,
                "minimum": 1,
                "maximum": 100_000,
                "title": "Items that show easy classes",
                "description": "A class is easy by its share of the so many items about which the model is surest.",
            },
            "space": {
                "type": "string",
                "enum": list(SPACES),
                "default": "prob",
                "title": "Compared as",
                "description": "Probabilities, or their logarithms, which see changes of small ones.",
            },
        },
        reference="Lyu et al. 2024, Learn from the learnt: source-free active domain adaptation",
    )
)
def contrastive_active(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    alpha: float,
    class_weight: float,
    easiest: int,
    space: str,
) -> Ranking:
    """Utility: 1 - S / (1 + weight), S = margin / largest margin + weight * easiness of the likeliest class.

    The margin is that of p + alpha (p - previous), of p alone where the row has no previous. Easiness: how often a
    class is the likeliest one among the items of largest margin, 1 for the commonest.
    """
    margin = to_numpy(contrasted_margin(pool.proba, pool.previous, alpha, space)).astype(np.float64)
    guess = _guess(pool.proba)
    # Equal margins are told apart by ids: whether a row is among the easiest must not depend on its place.
    surest = descending(margin, pool.ids, easiest, draw_seed(rng))
    counts = np.bincount(guess[surest], minlength=pool.n_classes or 1)
    easiness = counts[guess] / counts.max()
    score = margin / (margin.max() or 1.0) + class_weight * easiness

    def explain(row: int) -> dict[str, Any]:
        assert pool.previous is not None
        told = {"kind": "contrastive_active", **rivals(pool, row), "score": float(score[row])}
        before = to_numpy(pool.previous[row, :]).astype(np.float64)
        known = not np.isnan(before).any()
        return told | ({"before": before[told["classes"]].tolist()} if known else {})

    return rank_by_utility(pool, 1 - score / (1 + class_weight), n, rng, explain=explain)


def contrasted_margin(proba: Array, previous: Array, alpha: float, space: str) -> Array:
    """Largest - second largest (n,) of p + alpha (p - previous), or of the same with logarithms."""
    xp = namespace(proba)
    tiny = xp.finfo(proba.dtype).eps

    def seen(values: Array) -> Array:
        return xp.log(xp.clip(values, min=tiny)) if space == "log" else values

    def one_block(block: Array) -> Array:
        # Both arrays side by side, so that one pass in blocks serves them.
        now, before = seen(block[:classes, :]), seen(block[classes:, :])
        change = now - before
        first, second = two_largest(now + alpha * xp.where(xp.isnan(change), xp.zeros_like(change), change))
        return first - second

    classes = proba.shape[1]
    rows = max(1, (1 << 22) // (2 * classes))
    parts = [
        map_classes_first(
            one_block,
            xp.concat(
                [
                    proba[start : start + rows, :],
                    xp.astype(previous[start : start + rows, :], proba.dtype),
                ],
                axis=1,
            ),
        )
        for start in range(0, proba.shape[0], rows)
    ]
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def _guess(proba: Array) -> Ints:
    """Likeliest class (n,); the first of equal ones."""
    xp = namespace(proba)
    return to_numpy(map_classes_first(lambda block: xp.argmax(block, axis=0), proba)).astype(np.int64)
