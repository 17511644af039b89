"""k-means for choosing batches: seeded, blockwise, the same for every order of equal input arrays."""

from dataclasses import dataclass

import array_api_compat
import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, namespace, sum_by_label, take_rows, to_numpy, top_k, widen
from acquisition.errors import PoolError
from acquisition.neighbours import distance_to, min_distance, nearest_index


@dataclass(frozen=True, eq=False)
class Clusters:
    """centres (k, D); label (n,) of each row; distance (n,) to its centre. k is smaller where rows are few or equal."""

    centres: Array
    label: Ints
    distance: npt.NDArray[np.float64]

    def sizes(self) -> Ints:
        return np.asarray(np.bincount(self.label, minlength=self.centres.shape[0]), dtype=np.int64)


def k_means(features: Array, k: int, rng: np.random.Generator, *, iterations: int = 10) -> Clusters:
    """At most k clusters of the rows of features (n, D), by Lloyd's iterations from spread-out seeds.

    Seeds: D^2 sampling (Arthur and Vassilvitskii 2007), as many draws a step as there are seeds already, which takes
    log2(k) passes in place of k. Clusters that end empty are left out. O(n k D) an iteration. PoolError for features
    that are not finite.
    """
    features = widen(features)
    xp = namespace(features)
    if not bool(xp.all(xp.isfinite(features))):
        raise PoolError("Features hold NaN or infinite values.")
    centres = _seeds(features, k, rng)
    label = nearest_index(features, centres)
    for _ in range(iterations):
        centres = _means(features, label, centres)
        before, label = label, nearest_index(features, centres)
        if bool(xp.all(label == before)):
            break
    distance = to_numpy(distance_to(features, centres, label)).astype(np.float64)
    # Equal rows may have been drawn as several seeds, of which one attracts them all.
    present, number = np.unique(to_numpy(label), return_inverse=True)
    return Clusters(take_rows(centres, present), number.astype(np.int64), distance)


def _seeds(features: Array, k: int, rng: np.random.Generator) -> Array:
    xp = namespace(features)
    n = features.shape[0]
    chosen = np.array([rng.integers(n)])
    distance = min_distance(features, take_rows(features, chosen))
    while len(chosen) < min(k, n):
        weight = to_numpy(distance).astype(np.float64) ** 2
        count = min(len(chosen), k - len(chosen), int(np.count_nonzero(weight)))
        if count == 0:
            break
        # The count first arrivals of exponential clocks: a draw without replacement, by weight.
        new = top_k(weight / rng.standard_exponential(n), count)
        chosen = np.concatenate([chosen, new])
        distance = min_distance(features, take_rows(features, new), distance)
    return xp.take(features, xp.asarray(chosen, device=array_api_compat.device(features)), axis=0)


def _means(features: Array, label: Array, centres: Array) -> Array:
    """Mean of each cluster's rows; the old centre where there is none."""
    xp = namespace(features)
    present = np.bincount(to_numpy(label), minlength=centres.shape[0])[:, None]
    counts = xp.asarray(present, dtype=features.dtype, device=array_api_compat.device(features))
    means = sum_by_label(features, label, centres.shape[0]) / xp.clip(counts, min=1)
    return xp.where(counts > 0, means, centres)
