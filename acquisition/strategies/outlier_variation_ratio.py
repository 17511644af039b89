"""Outlier-aware variation ratio: where members disagree, among the items that belong to a class at all."""

from typing import Any

import numpy as np

from acquisition import committee
from acquisition.arrays import Array, namespace
from acquisition.committee import map_draws, member_params
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import members_of, told

# Below this lie the items taken for outliers, above it all others, whatever their disagreement.
OUTLIERS_BELOW = 1e-3


@strategy(
    StrategySpec(
        key="outlier_variation_ratio",
        title="Variation ratio without outliers",
        advice="Use it when many items belong to none of the classes: mark a class as outlier, and label such items with it.",
        needs=frozenset({"draws"}),
        tasks=frozenset({"single"}),
        params={
            "keep_out": {
                "type": "boolean",
                "default": True,
                "title": "Keep outliers out",
                "description": "Items that the committee takes for outliers come last, the doubtful ones of them first.",
            },
            **member_params(members=5),
        },
        reference="Stojnić, Laskar and Tolias 2024, Training ensembles with inliers and outliers for semi-supervised active learning",
    )
)
def outlier_variation_ratio(
    pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, keep_out: bool
) -> Ranking:
    """Utility: share of members against the likeliest class of their mean, ties by the entropy of the mean.

    Items whose likeliest class is the outlier class follow, by their probability of being none. They are ranked as
    all others while no class is marked as outlier, or while no label has it: the committee cannot know it then.
    """
    outlier, notes = _outlier_to_keep_out(pool, labeled) if keep_out else (None, ())

    def score(block: Array) -> Array:
        xp = namespace(block)
        members = block.shape[1]
        # Counts of members are whole, so that an entropy of at most 1 decides between equal ones alone.
        disputed = (committee.dissent(block) * members + committee.mean_entropy(block)) / (members + 1)
        if outlier is None:
            return disputed
        mean = committee.consensus(block)
        inside = OUTLIERS_BELOW + (1 - OUTLIERS_BELOW) * disputed
        return xp.where(xp.argmax(mean, axis=0) == outlier, OUTLIERS_BELOW * (1 - mean[outlier, :]), inside)

    def explain(row: int) -> dict[str, Any]:
        mean = members_of(pool, row).mean(axis=1)
        kept_out = outlier is not None and int(mean.argmax()) == outlier
        return told(pool, row, "outlier_variation_ratio") | {"outlier": kept_out}

    return rank_by_utility(pool, map_draws(score, pool.draws), n, rng, explain=explain, notes=notes)


def _outlier_to_keep_out(pool: Pool, labeled: Labeled) -> tuple[int | None, tuple[Note, ...]]:
    if pool.outlier is None:
        message = "No class is marked as outlier, so nothing is kept out."
        return None, (Note("no-outlier-class", message),)
    if labeled.targets is None or labeled.class_counts()[pool.outlier] == 0:
        message = "No item is labelled as outlier yet, so nothing is kept out."
        return None, (Note("no-outlier-labels", message),)
    return pool.outlier, ()
