"""What the strategies on draws share: one score of the members' disagreement, and the reasons."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, to_numpy
from acquisition.committee import map_draws
from acquisition.pool import Pool
from acquisition.ranking import Ranking, rank_by_utility
from acquisition.reduce import reduce_axis

Score = Callable[[Array], Array]

_SHOWN_LABELS = 3


def rank_by_disagreement(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    *,
    kind: str,
    single: Score,
    per_class: Score,
    reduction: str,
    top_k: int,
) -> Ranking:
    """Most disputed first; `single` scores blocks (C, M, m) as (m,), `per_class` for multi-label as (C, m).

    Reasons name the two classes that the mean finds likeliest, for multi-label those most disputed.
    """
    if pool.multi_label:
        utility = map_draws(
            lambda block: reduce_axis(per_class(block), reduction, k=top_k, axis=0), pool.draws
        )
        return rank_by_utility(
            pool, utility, n, rng, explain=lambda row: _disputed_labels(pool, row, kind, per_class)
        )
    return rank_by_utility(
        pool, map_draws(single, pool.draws), n, rng, explain=lambda row: told(pool, row, kind)
    )


def told(pool: Pool, row: int, kind: str) -> dict[str, Any]:
    """The two likeliest classes by the members' mean, and how the members vote on them."""
    draws = members_of(pool, row)
    mean = draws.mean(axis=1)
    best = np.argsort(-mean, kind="stable")[:2]
    first = draws.argmax(axis=0)
    return {
        "kind": kind,
        "classes": best.tolist(),
        "probabilities": mean[best].tolist(),
        "votes": [int((first == index).sum()) for index in best],
        "members": int(draws.shape[1]),
    }


def members_of(pool: Pool, row: int) -> npt.NDArray[np.float64]:
    """The draws of one row (C, M)."""
    assert pool.draws is not None
    return to_numpy(pool.draws[row, :, :]).astype(np.float64)


def _disputed_labels(pool: Pool, row: int, kind: str, per_class: Score) -> Mapping[str, Any]:
    draws = members_of(pool, row)
    worst = np.argsort(-to_numpy(per_class(draws[:, :, None]))[:, 0], kind="stable")[:_SHOWN_LABELS]
    return {
        "kind": kind,
        "labels": worst.tolist(),
        "probabilities": draws.mean(axis=1)[worst].tolist(),
        "members": int(draws.shape[1]),
    }
