"""AdaStop: which strategies differ, decided with as few runs as it takes, and with a bounded chance of any false claim.

A sequential permutation test. Every interim adds one block of runs to each strategy that is still in an open
comparison; what is decided early needs no more runs. Source: Mathieu, Della Vecchia, Shilova, Centa de Medeiros, Kohler,
Maillard and Preux 2023, 'AdaStop'. The reference distribution takes absolute values, as the statistic does: with signed
ones identical strategies are told apart twice as often as the level says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
import numpy.typing as npt

from acquisition.errors import AcquisitionError

Decision = Literal["open", "larger", "smaller", "equal"]
Blocks = Sequence[Sequence[float]]
Doubles = npt.NDArray[np.float64]

DIGITS = 10  # permuted sums that differ by rounding only are equal


class ComparisonError(AcquisitionError, ValueError):
    """Blocks of different size, values that are not finite, a pair of unknown names, or a level outside (0, 1)."""

    code = "invalid_comparison"


@dataclass(frozen=True)
class Verdict:
    """Of `first` against `second`: 'larger' or 'smaller' once decided, 'equal' when the last interim could not tell.

    difference: mean of first minus mean of second over the blocks both have. interim: at which block it was decided.
    """

    first: str
    second: str
    decision: Decision
    difference: float
    interim: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What is known after `blocks` interims of at most `interims`."""

    verdicts: tuple[Verdict, ...]
    blocks: int
    interims: int

    @property
    def open(self) -> frozenset[str]:
        """Names that need another block of runs."""
        return frozenset(
            name for each in self.verdicts if each.decision == "open" for name in (each.first, each.second)
        )


def adastop(
    results: Mapping[str, Blocks],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    level: float = 0.05,
    interims: int = 5,
    permutations: int = 10_000,
    seed: int = 0,
) -> Outcome:
    """Verdicts on each pair (default: all) from the blocks there are; the same blocks give the same verdicts again.

    results: name -> blocks of n values each, the k-th block of the k-th interim; names whose comparisons are decided may
    have fewer. At interim k (from 0) the chance of any false claim so far is at most level (k + 1) / interims.
    Values are not paired. With few of them nothing can be decided: n values a side permit at best 2 / C(2n, n).
    """
    names = list(results)
    wanted = list(combinations(names, 2)) if pairs is None else list(pairs)
    size = _block_size(results, wanted, level, interims)
    decided: dict[tuple[str, str], tuple[Decision, int]] = {}
    open_ = list(range(len(wanted)))
    law = _Law(len(wanted), permutations, _scale(results))
    spent, done = 0.0, 0
    for interim in range(interims):
        if not open_ or any(len(results[name]) <= interim for pair in open_ for name in wanted[pair]):
            break
        values = np.array(
            [
                [*results[wanted[pair][0]][interim], *results[wanted[pair][1]][interim]]
                if pair in open_
                else [0.0] * (2 * size)
                for pair in range(len(wanted))
            ]
        )
        law.add_block(values, np.random.default_rng([seed, interim]))
        done += 1
        budget = level * (interim + 1) / interims - spent
        while open_:
            boundary = law.boundary(open_, budget)
            observed = law.observed(open_)
            best = int(observed.argmax())
            if observed[best] <= boundary:
                break
            pair = open_.pop(best)
            decided[wanted[pair]] = ("larger" if law.sign(pair) > 0 else "smaller", interim + 1)
        if open_:
            spent += law.condition(open_, boundary)
    rest: Decision = "equal" if done == interims else "open"
    return Outcome(
        tuple(
            Verdict(
                *pair,
                decided.get(pair, (rest, None))[0],
                _difference(results, pair),
                decided.get(pair, (rest, None))[1],
            )
            for pair in wanted
        ),
        done,
        interims,
    )


class _Law:
    """The permutation distribution of the summed block differences, of those permutations that were not stopped yet.

    `sums` (S, P): one row a permutation, the first the identity; `mass`: the probability of all of them together.
    """

    def __init__(self, pairs: int, permutations: int, scale: float) -> None:
        self._sums: Doubles = np.zeros((1, pairs))
        self._most = permutations
        self._scale = scale
        self._mass = 1.0

    def add_block(self, values: Doubles, rng: np.random.Generator) -> None:
        """values (P, 2n): of each pair the first's n values, then the second's."""
        size = values.shape[1] // 2
        total = comb(2 * size, size)
        if len(self._sums) * total <= self._most:
            block = _differences(_assignments(size), values)
            self._sums = (self._sums[:, None, :] + block[None]).reshape(-1, values.shape[0])
            return
        before = rng.integers(0, len(self._sums), self._most)
        before[0] = 0
        masks = np.zeros((self._most, 2 * size), dtype=bool)
        masks[:, :size] = True
        masks[1:] = rng.permuted(masks[1:], axis=1)
        self._sums = self._sums[before] + _differences(masks, values)

    def boundary(self, pairs: list[int], budget: float) -> float:
        """The smallest value that the largest statistic exceeds with a probability below `budget`."""
        if budget <= 0:
            return float("inf")
        ordered = np.sort(self._largest(pairs))
        above = int(np.ceil(budget * len(ordered) / self._mass - 1e-9)) - 1
        return float(ordered[max(0, len(ordered) - 1 - max(0, above))])

    def observed(self, pairs: list[int]) -> Doubles:
        return np.asarray(self._rounded(self._sums[:1, pairs])[0])

    def sign(self, pair: int) -> float:
        return float(self._sums[0, pair])

    def condition(self, pairs: list[int], boundary: float) -> float:
        """Forget the permutations that would have been decided here; returns their probability."""
        kept = self._largest(pairs) <= boundary
        gone = self._mass * float(1 - kept.mean())
        self._sums = self._sums[kept]
        self._mass -= gone
        return gone

    def _largest(self, pairs: list[int]) -> Doubles:
        return np.asarray(self._rounded(self._sums[:, pairs]).max(axis=1))

    def _rounded(self, sums: Doubles) -> Doubles:
        return np.asarray(np.round(np.abs(sums) / self._scale, DIGITS), dtype=np.float64)


@lru_cache(maxsize=8)
def _assignments(size: int) -> npt.NDArray[np.bool_]:
    """Every way (A, 2n) to give n of 2n values to the first; the identity comes first."""
    masks = np.zeros((comb(2 * size, size), 2 * size), dtype=bool)
    for row, chosen in enumerate(combinations(range(2 * size), size)):
        masks[row, list(chosen)] = True
    return masks


def _differences(masks: npt.NDArray[np.bool_], values: Doubles) -> Doubles:
    """Mean of the first's minus mean of the second's values: masks (A, 2n), values (P, 2n) -> (A, P)."""
    signs = np.where(masks, 1.0, -1.0)
    return np.asarray(signs @ values.T / (values.shape[1] // 2))


def _difference(results: Mapping[str, Blocks], pair: tuple[str, str]) -> float:
    common = min(len(results[name]) for name in pair)
    if not common:
        return 0.0
    ours, theirs = (np.mean(np.array(results[name][:common], dtype=np.float64)) for name in pair)
    return float(ours - theirs)


def _scale(results: Mapping[str, Blocks]) -> float:
    return (
        max([abs(value) for blocks in results.values() for block in blocks for value in block] or [1.0])
        or 1.0
    )


def _block_size(
    results: Mapping[str, Blocks], pairs: Sequence[tuple[str, str]], level: float, interims: int
) -> int:
    if not 0 < level < 1 or interims < 1:
        raise ComparisonError(
            f"The level must lie between 0 and 1 and interims be 1 or more, not {level}, {interims}."
        )
    unknown = {name for pair in pairs for name in pair} - set(results)
    if unknown:
        raise ComparisonError(f"There are no results of '{sorted(unknown)[0]}'.")
    sizes = {len(block) for blocks in results.values() for block in blocks}
    if len(sizes) > 1 or 0 in sizes:
        raise ComparisonError(f"Blocks must be equally large and not empty, not of sizes {sorted(sizes)}.")
    for name, blocks in results.items():
        if not all(math.isfinite(value) for block in blocks for value in block):
            raise ComparisonError(f"The results of '{name}' hold NaN or infinite values.")
    return sizes.pop() if sizes else 1
