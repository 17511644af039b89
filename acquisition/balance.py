"""Class balance by expected classes: a wrapper of any ranking.

Source: Bang et al. 2024, 'Active prompt learning in vision language models' (PCB), with one change: a class without a
candidate is skipped. In the reference code it stays the rarest for ever, and the rest of the batch is drawn at random.
"""

import heapq
from typing import Literal

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Ints
from acquisition.errors import PoolError

Pick = Literal["best", "random"]
PICKS: tuple[Pick, ...] = ("best", "random")


def class_balance(
    pseudo: npt.NDArray[np.integer],
    counts: npt.NDArray[np.number],
    n: int,
    rng: np.random.Generator,
    *,
    pick: Pick = "best",
    reference_cascade: bool = False,
) -> Ints:
    """Places (min(n, G),) among the candidates, in the order of choosing: always one of the rarest expected class.

    pseudo (G,): the expected class of each candidate, best candidate first. counts (C,): labels of each class so far,
    infinite for a class that is never short. Of a class the best candidate is taken, or with `random` any. Equally rare
    classes come in an order drawn once. `reference_cascade` repeats the fault of the reference code.
    """
    if len(pseudo) and not (pseudo.min() >= 0 and pseudo.max() < len(counts)):
        raise PoolError(f"Expected classes must lie in 0..{len(counts) - 1}.")
    n = max(0, min(n, len(pseudo)))
    turn = rng.permutation(len(counts)).tolist()
    waiting = _by_class(pseudo, len(counts), rng, pick)
    if reference_cascade:
        return _cascading(waiting, counts.astype(float).tolist(), turn, n, rng)
    rarest = [(float(counts[c]), turn[c], c) for c in range(len(counts)) if waiting[c]]
    heapq.heapify(rarest)
    chosen: list[int] = []
    while len(chosen) < n:
        count, order, c = heapq.heappop(rarest)
        chosen.append(waiting[c].pop())
        if waiting[c]:
            heapq.heappush(rarest, (count + 1, order, c))
    return np.array(chosen, dtype=np.int64)


def _by_class(
    pseudo: npt.NDArray[np.integer], classes: int, rng: np.random.Generator, pick: Pick
) -> list[list[int]]:
    """Candidates of each class; the next one to take is the last."""
    places = np.arange(len(pseudo))[::-1] if pick == "best" else rng.permutation(len(pseudo))
    waiting: list[list[int]] = [[] for _ in range(classes)]
    for place in places.tolist():
        waiting[int(pseudo[place])].append(place)
    return waiting


def _cascading(
    waiting: list[list[int]], counts: list[float], turn: list[int], n: int, rng: np.random.Generator
) -> Ints:
    """The rarest class whether it has candidates or not; where it has none, any candidate, counted for no class."""
    chosen: list[int] = []
    while len(chosen) < n:
        c = min(range(len(counts)), key=lambda one: (counts[one], turn[one]))
        if waiting[c]:
            chosen.append(waiting[c].pop())
            counts[c] += 1
        else:
            left = [(one, place) for one, places in enumerate(waiting) for place in sorted(places)]
            c, place = left[int(rng.integers(len(left)))]
            waiting[c].remove(place)
            chosen.append(place)
    return np.array(chosen, dtype=np.int64)
