"""Discriminative: what a small classifier can tell from the labelled items."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, namespace, take_rows, to_numpy
from acquisition.discriminator import fit, make_map, probability
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, labelled_sampled_note, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.strategies._features import NORMALISE_PARAM, arrange, max_pool_param

# Rows of each side that the classifier learns from.
MOST_ROWS = 5_000


@strategy(
    StrategySpec(
        key="discriminative",
        title="Discriminative",
        advice="Use it when the labelled set should become like the pool, as after labels were made by other rules.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            "steps": {
                "type": "integer",
                "default": 10,
                "minimum": 1,
                "maximum": 20,
                "title": "Steps",
                "description": "The batch is chosen in so many parts; each counts as labelled for the next.",
            },
            **NORMALISE_PARAM,
            **max_pool_param(100_000, 1_000_000),
        },
        reference="Gissin and Shalev-Shwartz 2019, Discriminative active learning",
    )
)
def discriminative(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    steps: int,
    normalise: bool,
    max_pool: int,
) -> Ranking:
    """In each step, the items that a classifier of labelled against unlabelled most surely calls unlabelled.

    Logistic regression on random cosine features, both sides weighing alike. Without labels the first part of the
    batch is drawn at random. Utility: probability of being unlabelled, of a chosen item when it was chosen and of the
    others in the last step. Rows outside the sample: NaN.
    """
    view = arrange(pool, labeled, max_pool, rng, normalise=normalise, centre=True, with_known=True)
    mapping = make_map(view.features, rng)
    picks, worth = _choose(mapping(view.features), mapping(view.known), min(n, len(view)), steps)
    utility = view.over_pool(worth)

    def explain(row: int) -> Mapping[str, object]:
        return {"kind": "discriminative", "unlike": float(utility[row])}

    notes = list(view.notes)
    if view.known.shape[0] > MOST_ROWS:
        notes = [note for note in notes if note.code != "labelled-sampled"]
        notes.append(labelled_sampled_note(MOST_ROWS, len(labeled)))
    if not view.known.shape[0]:
        notes.append(
            Note(
                "no-labels",
                "There are no labelled items to compare with: the first items are drawn at random.",
            )
        )
    return rank_by_order(pool, view.rows[picks], utility, n, rng, explain=explain, notes=notes)


def _choose(
    rows: Array, known: Array, n: int, steps: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Picks (n,) in order and worth (m,), of mapped rows (m, W) beside known ones (l, W)."""
    xp = namespace(rows)
    worth = np.full(rows.shape[0], 0.5)
    free = np.ones(rows.shape[0], dtype=bool)
    picks = np.empty(0, dtype=np.int64)
    weights: Array | None = None
    for part in np.array_split(np.arange(n), min(steps, max(1, n))):
        open_rows = np.flatnonzero(free)
        # What counts as labelled, the batch so far first; rows are in random order, so the first ones are a sample.
        labelled = xp.concat([take_rows(rows, picks), known])[:MOST_ROWS, :]
        if labelled.shape[0]:
            weights = fit(labelled, take_rows(rows, open_rows[:MOST_ROWS]), weights)
            worth[open_rows] = to_numpy(probability(rows, weights))[open_rows]
        # Without a classifier all are alike, and the first ones are a random draw.
        new = open_rows[np.argsort(-worth[open_rows], kind="stable")[: len(part)]]
        free[new] = False
        picks = np.concatenate([picks, new])
    return picks, worth
