"""Rows as points: squared distances from matrix products, in blocks, with nothing of rows x rows in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy.typing as npt

from acquisition.arrays import Array, namespace, on_cpu, take_rows

# Entries of a block of products: on a CPU they should stay in its cache, a GPU wants few, large blocks.
_ENTRIES_CPU = 1 << 19
_ENTRIES_GPU = 1 << 26
# Products of fewer rows are slow, however many columns they have; more rows gain nothing.
_ROWS_LEAST, _ROWS_MOST = 256, 8_192
_COLUMNS_AT_ONCE = 1_024
# Products of float32 carry an error of about 1e-6 of the lengths: what is below it counts as no distance.
_NOISE = 64


@dataclass(frozen=True, eq=False)
class Space:
    """Points given by factors, each (n, D_f): the inner product of two points is the product of their factors'.

    One factor h: the rows themselves. Two, a and h: the outer products a (x) h, of D_a x D_h dimensions, which are
    never written out. lengths (n,): squared norms. Distances are as good as the lengths are small: centre features
    that lie far from the origin first.
    """

    factors: tuple[Array, ...]
    lengths: Array

    def __len__(self) -> int:
        return int(self.lengths.shape[0])

    def take(self, positions: npt.NDArray[Any]) -> "Space":
        """The points at these positions, copied."""
        return Space(
            tuple(take_rows(factor, positions) for factor in self.factors), take_rows(self.lengths, positions)
        )

    def part(self, start: int, stop: int) -> "Space":
        """Consecutive points, as a view."""
        return Space(tuple(factor[start:stop, :] for factor in self.factors), self.lengths[start:stop])

    def squared_to(self, others: "Space") -> Array:
        """Squared distances (n, m), raw: rounding may leave them a little off, below zero even."""
        xp = namespace(self.lengths)
        product: Array = None
        for own, other in zip(self.factors, others.factors, strict=True):
            inner = own @ xp.permute_dims(-2.0 * other if product is None else other, (1, 0))
            product = inner if product is None else product * inner
        product += self.lengths[:, None]
        product += others.lengths[None, :]
        return product

    def denoised(self, squared: Array) -> Array:
        """Squared distances (n,) or (n, k) of the points: 0 where they are no more than the rounding of a product."""
        xp = namespace(squared)
        noise = _NOISE * xp.finfo(self.lengths.dtype).eps * self.lengths
        noise = noise if squared.ndim == 1 else noise[:, None]
        return xp.where(squared <= noise, xp.zeros_like(squared), squared)


def make_space(*factors: Array) -> Space:
    """The space of these factors: each (n, D_f), float32 or wider, of one type."""
    xp = namespace(*factors)
    parts = blocks(factors[0].shape[0], factors[0].shape[1], cpu=on_cpu(factors[0]))
    return Space(factors, xp.concat([_lengths(factors, start, stop) for start, stop in parts]))


def nearest_squared(points: Space, centres: Space) -> Array:
    """Squared distance (n,) of each point to the nearest centre; infinite where there are none."""
    xp = namespace(points.lengths)
    if not len(centres):
        device = array_api_compat.device(points.lengths)
        return xp.full((len(points),), xp.inf, dtype=points.lengths.dtype, device=device)
    width = min(len(centres), _COLUMNS_AT_ONCE)
    pieces = [centres.part(start, start + width) for start in range(0, len(centres), width)]
    found = []
    for start, stop in blocks(len(points), width, cpu=on_cpu(points.lengths)):
        block = points.part(start, stop)
        least = xp.min(block.squared_to(pieces[0]), axis=1)
        for piece in pieces[1:]:
            least = xp.minimum(least, xp.min(block.squared_to(piece), axis=1))
        found.append(block.denoised(least))
    return xp.concat(found)


def blocks(rows: int, width: int, *, cpu: bool = True) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive rows, so many that rows x width entries fit; one empty block for no rows."""
    step = (_ENTRIES_CPU if cpu else _ENTRIES_GPU) // max(1, width)
    step = max(_ROWS_LEAST, min(step, _ROWS_MOST) if cpu else step)
    for start in range(0, max(1, rows), step):
        yield start, min(rows, start + step)


def _lengths(factors: tuple[Array, ...], start: int, stop: int) -> Array:
    xp = namespace(*factors)
    product: Array = None
    for factor in factors:
        block = factor[start:stop, :]
        length = xp.vecdot(block, block)
        product = length if product is None else product * length
    return product
