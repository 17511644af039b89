"""BatchBALD: the batch whose labels together tell most about the model."""

from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import committee
from acquisition.arrays import take_rows, to_numpy
from acquisition.committee import map_draws, member_params
from acquisition.hashing import draw_seed
from acquisition.joint import Floats, Ints, choose_jointly
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, descending, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._committee import told

Doubles = npt.NDArray[np.float64]


@strategy(
    StrategySpec(
        key="batchbald",
        title="BatchBALD",
        advice="Use it when batches are small and the pool has many near-copies: it does not ask the same thing twice.",
        needs=frozenset({"draws"}),
        tasks=frozenset({"single"}),
        batch_aware=True,
        params={
            "candidates": {
                "type": "integer",
                "default": 2_000,
                "minimum": 10,
                "maximum": 50_000,
                "title": "Candidates",
                "description": "The batch is chosen from so many items of highest BALD score.",
            },
            "configurations": {
                "type": "integer",
                "default": 1_000,
                "minimum": 10,
                "maximum": 10_000,
                "title": "Configurations",
                "description": "Ways to answer the batch that are followed; more are exact for longer, and slower.",
            },
            **member_params(members=20),
        },
        reference="Kirsch, van Amersfoort and Gal 2019, BatchBALD",
    )
)
def batchbald(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    candidates: int,
    configurations: int,
) -> Ranking:
    """Greedily the items that tell most about the members beyond those chosen before; utility: the BALD score.

    Members differ by no more than log M nats: once the batch tells all of that, the choice begins anew among the
    items that are left, and a note says after how many. What tells nothing at all follows by BALD. Exact while there
    are at most `configurations` ways to answer the batch, then sampled.
    """
    utility = to_numpy(map_draws(committee.bald, pool.draws)).astype(np.float64)
    # Ordered by score and hash of the id, so that the first of equal gains is the same whatever the order of rows.
    seed = draw_seed(rng)
    by_bald = descending(utility, pool.ids, max(n, min(candidates, len(pool))), seed)
    some = by_bald[:candidates]
    draws = np.ascontiguousarray(to_numpy(take_rows(pool.draws, some)))
    chosen, gains = _in_turns(draws, n, rng, configurations)
    order = np.concatenate([some[chosen], np.delete(by_bald, chosen)])
    gain = dict(zip(some[chosen].tolist(), np.concatenate([[], *gains]).tolist(), strict=True))
    notes = []
    if len(some) < len(pool):
        message = f"The batch was chosen from the {len(some):,} items of highest BALD score."
        notes.append(Note("candidates", message, {"used": len(some), "size": len(pool)}))
    if gains and len(gains[0]) < min(n, len(pool)):
        message = f"The first {len(gains[0])} items tell all that the members differ in; then the choice began anew."
        notes.append(Note("exhausted", message, {"count": len(gains[0])}))

    def explain(row: int) -> dict[str, Any]:
        return told(pool, row, "batchbald") | ({"gain": gain[row]} if row in gain else {})

    return rank_by_order(pool, order, utility, n, rng, explain=explain, notes=notes)


def _in_turns(
    draws: Floats, n: int, rng: np.random.Generator, configurations: int
) -> tuple[Ints, list[Doubles]]:
    """Positions of up to n candidates, and the gains of each turn; a turn ends when nothing is left to be told."""
    left = np.arange(len(draws))
    turns: list[Ints] = []
    gains: list[Doubles] = []
    missing = n
    while missing > 0 and len(left):
        joint = choose_jointly(draws[left], missing, rng, configurations=configurations)
        if not len(joint.positions):
            break
        turns.append(left[joint.positions])
        gains.append(joint.gain)
        left = np.delete(left, joint.positions)
        missing -= len(joint.positions)
    return np.concatenate([np.empty(0, dtype=np.int64), *turns]), gains
