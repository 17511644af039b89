"""Exact Euclidean neighbours in blocks of rows: memory is rows x block, never rows x rows."""

from collections.abc import Iterator

import array_api_compat

from acquisition.arrays import Array, namespace, smallest_k, widen

# Entries of one block of distances (16 MiB in float32): large enough for a fast product, small enough to stay near.
_BLOCK_ENTRIES = 1 << 22


def squared_distances(features: Array, centres: Array) -> Array:
    """(n, m) by the product form: fast, and good to about 1e-6 of the squared norms, so equal rows may differ from 0."""
    xp = namespace(features, centres)
    lengths = xp.sum(features * features, axis=1)[:, None] + xp.sum(centres * centres, axis=1)[None, :]
    return xp.clip(lengths - 2 * (features @ xp.permute_dims(centres, (1, 0))), min=0.0)


def nearest_index(features: Array, centres: Array) -> Array:
    """Index (n,) of the nearest of centres (m, D), m > 0, by the product form."""
    xp = namespace(features, centres)
    centres = widen(centres)
    # The row's own length is the same for all centres, so the least of the rest decides.
    doubled = 2 * xp.permute_dims(centres, (1, 0))
    lengths = xp.sum(centres * centres, axis=1)[None, :]
    return xp.concat(
        [xp.argmin(lengths - block @ doubled, axis=1) for block in _blocks(features, len(centres))]
    )


def nearest_indices(features: Array, centres: Array, k: int) -> Array:
    """Indices (n, min(k, m)) of the nearest of centres (m, D), m > 0, by the product form, in no particular order."""
    xp = namespace(features, centres)
    centres = widen(centres)
    k = min(k, centres.shape[0])
    return xp.concat(
        [
            smallest_k(squared_distances(block, centres), k)
            for block in _blocks(features, centres.shape[0] + features.shape[1])
        ]
    )


def distance_to(features: Array, centres: Array, index: Array) -> Array:
    """Distance (n,) of each row to the centre of that index, by difference: 0 for a row that equals its centre."""
    xp = namespace(features, centres)
    centres = widen(centres)
    parts = []
    start = 0
    for block in _blocks(features, features.shape[1]):
        own = xp.take(centres, index[start : start + block.shape[0]], axis=0)
        difference = block - own
        parts.append(xp.sqrt(xp.vecdot(difference, difference)))
        start += block.shape[0]
    return xp.concat(parts)


def min_distance(features: Array, centres: Array, current: Array | None = None) -> Array:
    """Distance (n,) to the nearest of centres (m, D), never above `current` (n,): call it again as centres arrive."""
    xp = namespace(features)
    if centres.shape[0] == 0:
        device = array_api_compat.device(features)
        return xp.full((features.shape[0],), xp.inf, device=device) if current is None else current
    distance = distance_to(features, centres, nearest_index(features, centres))
    return distance if current is None else xp.minimum(current, distance)


def neighbour_distances(features: Array, k: int) -> Array:
    """Distances (n, min(k, n-1)) of each row to its nearest others, itself excluded, in no particular order.

    Candidates by the product form, their distances by difference. O(n^2 D) time: cap n.
    """
    xp = namespace(features)
    everything = widen(features)
    n = everything.shape[0]
    k = min(k, n - 1)
    if k < 1:
        return xp.zeros((n, 0), dtype=everything.dtype)
    device = array_api_compat.device(everything)
    found = []
    start = 0
    # Differences take k x D numbers a row, so the block shrinks with them as well.
    for block in _blocks(everything, max(n, k * everything.shape[1])):
        rows = xp.arange(start, start + block.shape[0], device=device)
        itself = rows[:, None] == xp.arange(n, device=device)[None, :]
        index = smallest_k(xp.where(itself, xp.inf, squared_distances(block, everything)), k)
        others = xp.reshape(xp.take(everything, xp.reshape(index, (-1,)), axis=0), (*index.shape, -1))
        difference = others - block[:, None, :]
        found.append(xp.sqrt(xp.vecdot(difference, difference)))
        start += block.shape[0]
    return xp.concat(found)


def _blocks(features: Array, width: int) -> Iterator[Array]:
    """Consecutive rows, widened; at least one block, though it may be empty."""
    rows = max(1, _BLOCK_ENTRIES // max(1, width))
    for start in range(0, max(1, features.shape[0]), rows):
        yield widen(features[start : start + rows, :])
