"""What the strategies on frozen features share: a sample that belongs to the ids, and dealing from clusters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Ints
from acquisition.hashing import draw_seed, item_keys
from acquisition.ranking import Note, sampled_note

MAX_CLUSTERS = 500

MAX_POOL_PARAM: Mapping[str, Mapping[str, Any]] = {
    "max_pool": {
        "type": "integer",
        "default": 20_000,
        "minimum": 100,
        "maximum": 200_000,
        "title": "Largest pool",
        "description": "Of a larger pool a random sample of this size is considered; a larger one takes longer.",
    },
}


def sample(ids: Ints, cap: int, rng: np.random.Generator) -> Ints:
    """Positions of min(cap, n) ids, uniform, in an order that belongs to the ids and not to their rows."""
    return np.asarray(np.argsort(item_keys(draw_seed(rng), ids))[:cap], dtype=np.int64)


def sample_notes(used: int, size: int) -> tuple[Note, ...]:
    return (sampled_note(used, size),) if used < size else ()


def capped_note(clusters: int, wanted: int) -> tuple[Note, ...]:
    if clusters >= wanted:
        return ()
    message = f"{clusters} clusters instead of {wanted}; further items are dealt from them in turns."
    return (Note("clusters", message, {"clusters": clusters, "wanted": wanted}),)


def deal(cluster: Ints, utility: npt.NDArray[Any], precedence: Ints) -> Ints:
    """Rows in the order of dealing: the best of each cluster by precedence (C,), then the second best of each...

    cluster (n,) and utility (n,) of the rows; precedence: cluster numbers, first to be dealt from first.
    """
    turn = np.empty_like(precedence)
    turn[precedence] = np.arange(len(precedence))
    best_first = np.lexsort((-utility, cluster))
    sizes = np.bincount(cluster, minlength=len(precedence))
    starts = np.cumsum(sizes) - sizes
    round_of = np.empty(len(cluster), dtype=np.int64)
    round_of[best_first] = np.arange(len(cluster)) - starts[cluster[best_first]]
    return np.lexsort((turn[cluster], round_of))
