"""Dividing items into train, validation and test: by groups, alike in every class, the same each time, without leaks."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annotator.transfer.selection import PARTS, Splits

TEST = PARTS.index("test")
Ints = npt.NDArray[np.int64]
NONE = np.uint64(0)


def fingerprint(value: str) -> int:
    """64 bits that stand for a group or a content; never 0, which stands for none."""
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little") or 1


def assign(
    splits: Splits,
    *,
    contents: npt.NDArray[np.uint64],
    groups: npt.NDArray[np.uint64],
    strata: Ints,
    held_out: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int8]:
    """Index into PARTS for each of n items.

    contents (n,), groups (n,): fingerprints, 0 for an item without group; strata (n,): class index, -1 for none; held_out
    (n,): items that stay in test, and take along whatever shares their group or content. Shares are kept within each
    stratum as well as whole groups allow; order of the items does not matter, but for the seed nothing is random.
    """
    n = len(contents)
    if n == 0:
        return np.zeros(0, dtype=np.int8)
    if not splits.stratified:
        strata = np.zeros(n, dtype=np.int64)
    unit = _units(contents, groups)
    count = int(unit.max()) + 1
    sizes = np.bincount(unit, minlength=count)
    held = np.bincount(unit, weights=held_out, minlength=count) > 0
    keys = _keys(unit, contents, splits.seed, count)
    stratum = _strata(unit, strata, count)
    part = np.full(count, -1, dtype=np.int8)
    part[held] = TEST
    shares = np.array([splits.train, splits.validation, splits.test])
    for each in np.unique(stratum):
        mine = stratum == each
        _divide(part, np.flatnonzero(mine), sizes, keys, shares)
    result: npt.NDArray[np.int8] = part[unit]
    return result


def _units(contents: npt.NDArray[np.uint64], groups: npt.NDArray[np.uint64]) -> Ints:
    """The unit (0...) of each item: items that share a group or a content, directly or through others, are one."""
    n = len(contents)
    _, content = np.unique(contents, return_inverse=True)
    grouped = np.flatnonzero(groups != NONE)
    _, group = np.unique(groups[grouped], return_inverse=True)
    nodes = int(content.max()) + 1
    rows = np.concatenate([content[grouped], content])
    columns = np.concatenate([nodes + group, content])
    total = nodes + (int(group.max()) + 1 if len(group) else 0)
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(total, total))
    _, component = connected_components(graph, directed=False)
    _, unit = np.unique(component[content], return_inverse=True)
    assert len(unit) == n
    return unit.astype(np.int64)


def _keys(unit: Ints, contents: npt.NDArray[np.uint64], seed: int, count: int) -> npt.NDArray[np.uint64]:
    """A number for each unit that looks random and depends on the seed and what is in the unit only."""
    mixed = _mix(contents ^ _mix(np.array([seed], dtype=np.uint64)))
    keys = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(keys, unit, mixed)
    return keys


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _strata(unit: Ints, strata: Ints, count: int) -> Ints:
    """The most frequent class among a unit's items that have one, the lowest of several such; -1 without any."""
    known = strata >= 0
    result = np.full(count, -1, dtype=np.int64)
    if not known.any():
        return result
    pairs, times = np.unique(np.stack([unit[known], strata[known]]), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], times, pairs[0]))
    result[pairs[0][order]] = pairs[1][order]  # the last of each unit stays: most times, lowest class
    return result


def _divide(
    part: npt.NDArray[np.int8],
    units: Ints,
    sizes: Ints,
    keys: npt.NDArray[np.uint64],
    shares: npt.NDArray[np.float64],
) -> None:
    """Give each unit of one stratum that has none a part: large ones to where most is missing, single items to fill up."""
    wanted = shares * sizes[units].sum()
    given = np.bincount(
        part[units][part[units] >= 0], weights=sizes[units][part[units] >= 0], minlength=3
    ).astype(float)
    open_units = units[part[units] < 0]
    open_units = open_units[np.lexsort((keys[open_units], -sizes[open_units]))]
    large = open_units[sizes[open_units] > 1]
    single = open_units[sizes[open_units] == 1]
    for unit in large:
        best = int(np.argmax(np.where(shares > 0, wanted - given, -np.inf)))
        part[unit] = best
        given[best] += sizes[unit]
    missing = np.clip(wanted - given, 0, None)
    if len(single) and not missing.any():
        missing = shares
    if len(single):
        ends = np.rint(np.cumsum(missing) / missing.sum() * len(single)).astype(np.int64)
        part[single] = np.searchsorted(ends, np.arange(len(single)), side="right").astype(np.int8)
