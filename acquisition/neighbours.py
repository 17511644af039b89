"""Exact Euclidean neighbours in blocks of rows: memory is rows x block, never rows x rows."""

import array_api_compat

from acquisition.arrays import (
    Array,
    Ints,
    namespace,
    on_cpu,
    smallest_k,
    smallest_values,
    take_rows,
    widen,
)
from acquisition.space import blocks, make_space

_ROUNDINGS = 8


def nearest_index(features: Array, centres: Array) -> Array:
    """Index (n,) of the nearest of centres (m, D), m > 0, by the product form."""
    xp = namespace(features, centres)
    centres = widen(centres)
    # The row's own length is the same for all centres, so the least of the rest decides.
    doubled = -2.0 * xp.permute_dims(centres, (1, 0))
    lengths = xp.vecdot(centres, centres)[None, :]
    found = []
    for start, stop in blocks(features.shape[0], centres.shape[0], cpu=on_cpu(features)):
        product = widen(features[start:stop, :]) @ doubled
        product += lengths
        found.append(xp.argmin(product, axis=1))
    return xp.concat(found)


def nearest_indices(features: Array, centres: Array, k: int) -> Array:
    """Indices (n, min(k, m)) of the nearest of centres (m, D), m > 0, by the product form, in no particular order."""
    xp = namespace(features, centres)
    centres = widen(centres)
    k = min(k, centres.shape[0])
    others = make_space(centres)
    found = []
    for start, stop in blocks(features.shape[0], centres.shape[0], cpu=on_cpu(features)):
        found.append(smallest_k(make_space(widen(features[start:stop, :])).squared_to(others), k))
    return xp.concat(found)


def distance_to(features: Array, centres: Array, index: Array) -> Array:
    """Distance (n,) of each row to the centre of that index, by difference: 0 for a row that equals its centre."""
    xp = namespace(features, centres)
    centres = widen(centres)
    found = []
    for start, stop in blocks(features.shape[0], features.shape[1], cpu=on_cpu(features)):
        block = widen(features[start:stop, :])
        difference = block - xp.take(centres, index[start:stop], axis=0)
        squared = xp.vecdot(difference, difference)
        # A mean of equal rows may miss them by a rounding.
        rounding = (_ROUNDINGS * xp.finfo(block.dtype).eps) ** 2 * xp.vecdot(block, block)
        found.append(xp.sqrt(xp.where(squared <= rounding, xp.zeros_like(squared), squared)))
    return xp.concat(found)


def neighbour_distances(
    features: Array, k: int, among: int | None = None, members: Ints | None = None
) -> Array:
    """Distances (n, min(k, m-1)) of each row to its nearest others, itself excluded, in no particular order.

    members: positions (n,) of the rows that are meant (default: all). Neighbours are sought among the first m = `among`
    of them (default: all). By the product form of rows moved to their middle; what rounding cannot tell from 0 is 0.
    O(n m D) time; only the m rows are copied.
    """
    xp = namespace(features)
    n = features.shape[0] if members is None else len(members)
    m = n if among is None else min(among, n)
    k = min(k, m - 1)
    device = array_api_compat.device(features)
    if k < 1:
        return xp.zeros((n, 0), dtype=widen(features[:0, :]).dtype, device=device)

    def part(start: int, stop: int) -> Array:
        if members is None:
            return widen(features[start:stop, :])
        return widen(take_rows(features, members[start:stop]))

    among_rows = part(0, m)
    middle = xp.mean(among_rows, axis=0)[None, :]
    others = make_space(among_rows - middle)
    del among_rows
    found = []
    for start, stop in blocks(n, m, cpu=on_cpu(features)):
        block = make_space(part(start, stop) - middle)
        squared = block.squared_to(others)
        own = xp.arange(start, max(start, min(stop, m)), device=device)
        squared[own - start, own] = xp.inf
        found.append(xp.sqrt(block.denoised(smallest_values(squared, k))))
    return xp.concat(found)
