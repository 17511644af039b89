"""ProbCover: balls of one radius that cover as much of the pool as they can."""

from collections.abc import Mapping

import array_api_compat
import numpy as np
import numpy.typing as npt

from acquisition.arrays import Floats, Ints, namespace, on_cpu, to_numpy
from acquisition.clustering import k_means
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order
from acquisition.registry import StrategySpec, strategy
from acquisition.space import Space, blocks, make_space, nearest_squared
from acquisition.strategies._features import NORMALISE_PARAM, View, arrange, max_pool_param

Bits = npt.NDArray[np.uint8]

# Rows of which the distance to the nearest row of another group is measured, for the radius.
_PROBES = 2_000
# Side of the squares in which distances are computed; a multiple of 8, for eight rows share a byte.
_SIDE = 1_024
# Rows of bits that are added up at once: a byte counts no further.
_ADDED = 255


@strategy(
    StrategySpec(
        key="probcover",
        title="ProbCover",
        advice="Use it for the very first labels, fewer than a few per class: each of them speaks for many items around it.",
        needs=frozenset({"features"}),
        batch_aware=True,
        params={
            "radius": {
                "type": "number",
                "default": 0.0,
                "minimum": 0,
                "title": "Radius",
                "description": "How far an item speaks for others; 0 = the largest with the purity below.",
            },
            "purity": {
                "type": "number",
                "default": 0.95,
                "minimum": 0.5,
                "maximum": 1,
                "title": "Purity",
                "description": "Share of balls that hold items of one group only, groups being those of k-means, one a class.",
            },
            **NORMALISE_PARAM,
            **max_pool_param(20_000, 100_000),
        },
        reference="Yehuda et al. 2022, Active learning through a covering lens",
    )
)
def probcover(
    pool: Pool,
    labeled: Labeled,
    n: int,
    rng: np.random.Generator,
    *,
    radius: float,
    purity: float,
    normalise: bool,
    max_pool: int,
) -> Ranking:
    """Greedy maximum coverage: always the item with most uncovered items nearer than the radius, itself included.

    What lies around labelled items is covered already. Utility: so many items are (of a chosen one: were) uncovered
    around it. O(m^2 D) time and m^2 / 8 bytes for the m rows considered; rows outside the sample: NaN.
    """
    # A label that is left out would leave a hole in what is covered.
    view = arrange(
        pool,
        labeled,
        max_pool,
        rng,
        normalise=normalise,
        centre=True,
        with_known=True,
        most_known=max(1, len(labeled)),
    )
    points = make_space(view.features)
    ball = radius or _pure_radius(view, points, max(2, labeled.n_classes), purity, rng)
    covered = to_numpy(nearest_squared(points, make_space(view.known))) < ball**2
    picks, gains, left = _cover(_adjacency(points, ball), covered, n)
    worth = left.astype(np.float64)
    worth[picks] = gains
    utility = view.over_pool(worth)

    def explain(row: int) -> Mapping[str, object]:
        return {"kind": "probcover", "covers": int(utility[row]), "radius": float(ball)}

    done = covered.sum() + gains.sum()
    message = f"Labelled and chosen items cover {done / len(view):.0%} of the items within {ball:.3g}."
    note = Note("coverage", message, {"covered": int(done), "size": len(view), "radius": float(ball)})
    return rank_by_order(pool, view.rows[picks], utility, n, rng, explain=explain, notes=[*view.notes, note])


def _pure_radius(view: View, points: Space, groups: int, purity: float, rng: np.random.Generator) -> float:
    """The largest radius at which so large a share of the balls hold one group of k-means only.

    An open ball is pure up to the distance of the nearest row of another group, so the radius is a quantile of such
    distances: no search. 0 where all rows are of one group.
    """
    xp = namespace(view.features)
    label = xp.asarray(
        k_means(view.features, groups, rng).label, device=array_api_compat.device(view.features)
    )
    distances = []
    probes = min(_PROBES, len(points))
    for start, stop in blocks(probes, len(points), cpu=on_cpu(view.features)):
        block = points.part(start, stop)
        squared = block.squared_to(points)
        own = label[start:stop][:, None] == label[None, :]
        least = xp.min(xp.where(own, xp.inf, squared), axis=1)
        distances.append(to_numpy(xp.sqrt(block.denoised(least))))
    nearest = np.concatenate(distances)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.quantile(nearest, 1 - purity, method="lower")) if len(nearest) else 0.0


def _adjacency(points: Space, radius: float) -> Bits:
    """Bit j of row i (m, m / 8): whether the two are nearer than the radius; each is near to itself.

    Square by square, of which the mirrored ones are not computed again.
    """
    m = len(points)
    packed = np.zeros((m, -(-m // 8)), dtype=np.uint8)
    # Rounding leaves some distances below 0, which no radius of 0 may take for near.
    limit = radius**2 or -np.inf
    squares = [(start, min(m, start + _SIDE)) for start in range(0, m, _SIDE)]
    for number, (top, bottom) in enumerate(squares):
        block = points.part(top, bottom)
        for left, right in squares[number:]:
            near = np.array(to_numpy(block.squared_to(points.part(left, right)) < limit))
            if left == top:
                np.fill_diagonal(near, val=True)
            packed[top:bottom, left // 8 : -(-right // 8)] = np.packbits(near, axis=1)
            packed[left:right, top // 8 : -(-bottom // 8)] = np.packbits(near, axis=0).T
    return packed


def _cover(near: Bits, covered: npt.NDArray[np.bool_], n: int) -> tuple[Ints, Floats, Ints]:
    """At most n picks with the rows each newly covered, and the uncovered rows (m,) that are left around each."""
    m = len(covered)
    left = np.zeros(m, dtype=np.int64)
    _add_rows(left, near, np.flatnonzero(~covered), 1)
    covered = covered.copy()
    picks: list[int] = []
    gains: list[int] = []
    while len(picks) < n:
        pick = int(left.argmax())
        if left[pick] == 0:
            break
        row = np.unpackbits(near[pick], count=m).astype(bool)
        new = np.flatnonzero(row & ~covered)
        covered[new] = True
        picks.append(pick)
        gains.append(len(new))
        _add_rows(left, near, new, -1)
        # Rounding may make two rows near to each other in one direction only: nothing is chosen twice.
        left[pick] = 0
    return np.array(picks, dtype=np.int64), np.array(gains, dtype=np.float64), left


def _add_rows(count: Ints, near: Bits, rows: Ints, sign: int) -> None:
    """Adds to each column the set bits of these rows, or takes them off; bits are symmetric: rows are columns too."""
    for start in range(0, len(rows), _ADDED):
        bits = np.unpackbits(near[rows[start : start + _ADDED]], axis=1, count=len(count))
        count += sign * bits.sum(axis=0, dtype=np.uint8).astype(np.int64)
