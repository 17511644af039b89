"""Oldest first: items in the order in which they came.

A strategy is a function of what may be chosen (`pool`), what is known (`labeled`), how many are wanted, and a source of
randomness. It returns a ranking. It never sees a model, a database or the answers to items that are not labelled.
"""

import numpy as np

from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.registry import StrategySpec, strategy


@strategy(
    StrategySpec(
        key="oldest_first",
        title="Oldest first",
        advice="Use it when items lose their worth with time, as messages and reports do.",
        params={
            "half_life": {
                "type": "integer",
                "default": 1_000,
                "minimum": 1,
                "title": "Half-life",
                "description": "After so many newer items, one counts half as much.",
            }
        },
        reference="None; an example",
    )
)
def oldest_first(
    pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, *, half_life: int
) -> Ranking:
    """Utility: 2^(-(id - smallest id) / half-life). Ids are rows, which grow with time."""
    utility = np.exp2(-(pool.ids - pool.ids.min()) / half_life)

    def explain(row: int) -> dict[str, object]:
        return {"kind": "oldest_first", "place": int(pool.ids[row])}

    # Equal utilities, and ones too small to tell apart, are ordered by a hash of the id: never by array position.
    return rank_by_utility(pool, utility, n, rng, explain=explain)
