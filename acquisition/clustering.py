"""k-means for choosing batches: seeded, blockwise, learned from a sample where rows are many."""

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, namespace, sum_by_label, take_rows, to_numpy, top_k, widen
from acquisition.errors import PoolError
from acquisition.neighbours import distance_to, nearest_index
from acquisition.space import make_space
from acquisition.spreading import draw_apart

# Rows for each cluster from which centres are learned: more of them move a centre by less than a sixteenth of the
# spread of its cluster.
ROWS_PER_CLUSTER = 256
# Centres stand still when no more than one row in so many changes its cluster.
_SETTLED = 1_000


@dataclass(frozen=True, eq=False)
class Clusters:
    """centres (k, D); label (n,) of each row; distance (n,) to its centre. k is smaller where rows are few or equal."""

    centres: Array
    label: Ints
    distance: npt.NDArray[np.float64]

    def sizes(self) -> Ints:
        return np.asarray(np.bincount(self.label, minlength=self.centres.shape[0]), dtype=np.int64)


def k_means(
    features: Array,
    k: int,
    rng: np.random.Generator,
    *,
    weights: npt.NDArray[np.float64] | None = None,
    iterations: int = 20,
) -> Clusters:
    """At most k clusters of the rows of features (n, D), by Lloyd's iterations from seeds drawn by k-means++.

    weights (n,) > 0: how much each row counts. Of more than 256 k rows, a sample drawn by weight is iterated on, and
    one iteration over all rows follows: O(n k D) in all. Clusters that end empty are left out. The same for equal
    arrays in equal order. PoolError for features that are not finite.
    """
    features = widen(features)
    xp = namespace(features)
    if not bool(xp.isfinite(xp.sum(features))):
        raise PoolError("Features hold NaN or infinite values.")
    n, k = features.shape[0], min(k, features.shape[0])
    rows, row_weights = _sample(n, ROWS_PER_CLUSTER * k, weights, rng)
    sample = features if rows is None else take_rows(features, rows)
    centres = take_rows(sample, draw_apart(make_space(sample), k, rng, weights=row_weights))
    centres, label = _iterate(sample, centres, row_weights, iterations)
    if rows is not None:
        centres, label = _iterate(features, centres, weights, min(iterations, 1))
    distance = to_numpy(distance_to(features, centres, label)).astype(np.float64)
    # Equal rows may have been drawn as several seeds, of which one attracts them all.
    present, number = np.unique(to_numpy(label), return_inverse=True)
    return Clusters(take_rows(centres, present), number.astype(np.int64), distance)


def _sample(
    n: int, size: int, weights: npt.NDArray[np.float64] | None, rng: np.random.Generator
) -> tuple[Ints | None, npt.NDArray[np.float64] | None]:
    """Positions of at most `size` rows and how much each counts; None = all rows, all alike.

    Priority sampling: rows that weigh much are certain to come, sums over the sample are unbiased.
    Source: Duffield, Lund and Thorup 2007, 'Priority sampling for estimation of arbitrary subset sums'.
    """
    if n <= size:
        return None, weights
    if weights is None:
        return np.sort(rng.choice(n, size, replace=False)), None
    priority = weights / (1 - rng.random(n))
    chosen = np.asarray(top_k(priority, size + 1), dtype=np.int64)
    rows = np.sort(chosen[:-1])
    return rows, np.maximum(weights[rows], priority[chosen[-1]])


def _iterate(
    features: Array, centres: Array, weights: npt.NDArray[np.float64] | None, iterations: int
) -> tuple[Array, Array]:
    """Centres (k, D) and labels (n,) after so many of Lloyd's iterations, or when hardly a label changes."""
    xp = namespace(features)
    counted: Any = None if weights is None else _like(weights, features)
    label = nearest_index(features, centres)
    for _ in range(iterations):
        centres = _means(features, label, centres, counted)
        before, label = label, nearest_index(features, centres)
        if int(xp.sum(xp.astype(label != before, xp.int64))) <= features.shape[0] // _SETTLED:
            break
    return centres, label


def _means(features: Array, label: Array, centres: Array, weights: Array | None) -> Array:
    """Mean of each cluster's rows; the old centre where there is none."""
    xp = namespace(features)
    heavy = None if weights is None else to_numpy(weights)
    total = np.bincount(to_numpy(label), weights=heavy, minlength=centres.shape[0])[:, None]
    mass = _like(total, features)
    means = sum_by_label(features, label, centres.shape[0], weights) / xp.where(mass > 0, mass, 1)
    return xp.where(mass > 0, means, centres)


def _like(values: npt.NDArray[Any], features: Array) -> Array:
    return namespace(features).asarray(values, dtype=features.dtype, device=array_api_compat.device(features))
