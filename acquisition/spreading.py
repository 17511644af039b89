"""Choosing rows far from each other, one after the other, without a pass over all rows for each choice.

A distance to the nearest chosen row only ever falls. One that has not been brought up to date is therefore an upper
bound, and bounds are enough to see that most rows cannot be the next choice. Rows are brought up to date a few at a
time, or all of them by one matrix product for many choices at once: the choices are those of the plain algorithms.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, Ints, on_cpu, to_numpy
from acquisition.space import Space, blocks, nearest_squared

# Choices that wait before all rows are brought up to date by one product; a pass over few rows need not be saved.
_WAITING = 32
_FEW_ROWS = 4_096
# Refused proposals for each choice that waits, beyond which the bounds are too old to go on with.
_REFUSALS = 8
# Rows that are looked at first when the farthest one is sought.
_CANDIDATES = 64


@dataclass(frozen=True, eq=False)
class Farthest:
    """picks (k,) in order; reach (k,): distance of each to the nearest before it; distance (n,) when all are chosen."""

    picks: Ints
    reach: Floats
    distance: Floats


class Bounds:
    """Squared distances (n,) to the nearest chosen point, each exact up to the first `seen` choices."""

    def __init__(self, points: Space, squared: npt.NDArray[Any]) -> None:
        self.points = points
        self.squared = squared
        self.picks: list[int] = []
        self.seen = np.zeros(len(points), dtype=np.int64)

    def add(self, pick: int) -> None:
        self.picks.append(pick)
        self.squared[pick] = 0
        self.seen[pick] = np.iinfo(np.int64).max

    def stale(self, rows: Ints) -> Ints:
        return rows[self.seen[rows] < len(self.picks)]

    def refresh(self, rows: Ints) -> None:
        """Brings these rows up to date."""
        rows = self.stale(rows)
        if not len(rows):
            return
        if len(rows) * 4 > len(self.points):
            self.refresh_all()
            return
        missing = np.array(self.picks[int(self.seen[rows].min()) :])
        for start, stop in blocks(len(rows), len(missing), cpu=on_cpu(self.points.lengths)):
            part = rows[start:stop]
            found = to_numpy(nearest_squared(self.points.take(part), self.points.take(missing)))
            self.squared[part] = np.minimum(self.squared[part], found)
        self.seen[rows] = len(self.picks)

    def refresh_all(self) -> None:
        """Brings every row up to date by one pass over the points."""
        missing = np.array(self.picks[int(self.seen.min()) :] if len(self.seen) else [], dtype=np.int64)
        if len(missing):
            found = to_numpy(nearest_squared(self.points, self.points.take(missing)))
            np.minimum(self.squared, found, out=self.squared)
            np.maximum(self.seen, len(self.picks), out=self.seen)


def farthest_first(points: Space, n: int, *, known: Array | None = None, passed_over: int = 0) -> Farthest:
    """Greedy k-centre: each choice is the point farthest from the chosen ones, lowest position first among equals.

    known (n,): squared distances to what is covered already; without them the point nearest to the origin begins.
    passed_over: so many of the farthest points are taken for outliers at each choice. Ends early where nothing is
    left at a distance. At most twice the best possible radius (Gonzalez 1985).
    """
    if known is None:
        bounds = Bounds(points, np.full(len(points), np.inf, dtype=_dtype(points)))
        if len(points) and n:
            bounds.add(int(np.argmin(to_numpy(points.lengths))))
            bounds.refresh_all()
    else:
        bounds = Bounds(points, np.array(to_numpy(known), dtype=_dtype(points)))
    # The first of all has no distance to tell: it reaches as far as the points do.
    reach = [float(bounds.squared.max())] if bounds.picks else []
    while len(bounds.picks) < min(n, len(points)):
        pick = _farthest(bounds, min(passed_over, len(points) - len(bounds.picks) - 1))
        if passed_over and not bounds.squared[pick] > 0:
            # What is left at a distance is fewer than may be passed over: the nearest of these is no outlier.
            bounds.refresh_all()
            pick = _farthest(bounds, max(0, int((bounds.squared > 0).sum()) - 1))
        if not bounds.squared[pick] > 0:
            break
        reach.append(float(bounds.squared[pick]))
        bounds.add(pick)
    bounds.refresh_all()
    return Farthest(np.array(bounds.picks, dtype=np.int64), np.sqrt(reach), np.sqrt(bounds.squared))


def draw_apart(
    points: Space,
    n: int,
    rng: np.random.Generator,
    *,
    first: int | None = None,
    weights: npt.NDArray[np.float64] | None = None,
) -> Ints:
    """Up to n positions by D^2 sampling: each drawn with probability proportional to weight x squared distance.

    The first is given, or drawn by weight. Fewer come back where all other points coincide with those drawn.
    Proposals come from the bounds and are accepted in the ratio of the true distance to the bound, which makes the
    draws exactly those of the plain algorithm. Source: Arthur and Vassilvitskii 2007, 'k-means++'.
    """
    n = min(n, len(points))
    weights = np.ones(len(points)) if weights is None else weights
    if n == 0:
        return np.empty(0, dtype=np.int64)
    bounds = Bounds(points, np.full(len(points), np.inf, dtype=_dtype(points)))
    bounds.add(_draw(np.cumsum(weights), rng) if first is None else first)
    waiting = _WAITING if len(points) > _FEW_ROWS else 1
    while len(bounds.picks) < n:
        bounds.refresh_all()
        proposal = np.cumsum(bounds.squared * weights)
        if not proposal[-1] > 0:
            break
        _draw_several(bounds, proposal, min(n, len(bounds.picks) + waiting), rng)
    return np.array(bounds.picks, dtype=np.int64)


def _draw_several(
    bounds: Bounds, proposal: npt.NDArray[np.float64], upto: int, rng: np.random.Generator
) -> None:
    """Draws from up-to-date bounds until there are `upto` picks, or too many proposals were refused."""
    bound = bounds.squared.copy()
    refusals = _REFUSALS * _WAITING
    while len(bounds.picks) < upto and refusals:
        row = _draw(proposal, rng)
        bounds.refresh(np.array([row]))
        if rng.random() * bound[row] < bounds.squared[row]:
            bounds.add(row)
        else:
            refusals -= 1


def _draw(cumulative: npt.NDArray[np.float64], rng: np.random.Generator) -> int:
    """A position with probability proportional to the increments."""
    place = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return int(min(place, len(cumulative) - 1))


def _farthest(bounds: Bounds, rank: int) -> int:
    """Position of the point that is `rank` places behind the farthest one; only what could be it is looked at."""
    best = int(np.argmax(bounds.squared))
    if rank == 0 and not len(bounds.stale(np.array([best]))):
        return best
    size = _CANDIDATES + 2 * rank
    while True:
        size = min(size, len(bounds.squared))
        head = np.argpartition(bounds.squared, len(bounds.squared) - size)[len(bounds.squared) - size :]
        bounds.refresh(head)
        # At least rank + 1 points are as far as this, so nothing nearer can be the one.
        limit = np.partition(bounds.squared[head], size - 1 - rank)[size - 1 - rank]
        rivals = np.flatnonzero(bounds.squared >= limit)
        if not len(bounds.stale(rivals)):
            return int(rivals[np.argsort(-bounds.squared[rivals], kind="stable")[rank]])
        size *= 4


def _dtype(points: Space) -> Any:
    return to_numpy(points.lengths[:0]).dtype
