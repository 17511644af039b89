"""The result of a strategy: which ids first, what each row is worth, why, and what to know about it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, Ints, to_numpy
from acquisition.errors import UtilityError
from acquisition.hashing import draw_seed, item_keys
from acquisition.pool import Pool

Reason = dict[str, Any]
Explain = Callable[[int], Mapping[str, Any]]

# Rows without an opinion take at most every tenth place while there are others.
UNSCORED_PERIOD = 10
_PROBES = 1 << 14


@dataclass(frozen=True)
class Note:
    """What a reader of the ranking must know: a stable code, a sentence, and the numbers in it."""

    code: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, **self.values}


@dataclass(frozen=True, eq=False)
class Ranking:
    """order (k,) ids, best first; utility (n,) aligned with ids (n,): higher = label first, NaN = no opinion.

    Reasons are made when asked for, since a consumer wants those of the served rows and not of the whole pool.
    """

    order: Ints
    utility: Floats
    ids: Ints
    notes: tuple[Note, ...] = ()
    explain: Explain | None = None

    def __len__(self) -> int:
        return len(self.order)

    def positions(self, ids: Iterable[int]) -> Ints:
        """Places of these ids in `ids` and `utility`; UtilityError for an id that was not in the pool."""
        wanted = np.asarray(list(ids) if not isinstance(ids, np.ndarray) else ids, dtype=np.int64)
        if not len(wanted):
            return wanted
        by_id = self._by_id
        if not len(by_id):
            raise UtilityError("The pool was empty.")
        found = by_id[np.minimum(np.searchsorted(self.ids, wanted, sorter=by_id), len(by_id) - 1)]
        strangers = wanted[self.ids[found] != wanted]
        if len(strangers):
            raise UtilityError(f"Item {strangers[0]} was not in the pool.")
        return np.asarray(found, dtype=np.int64)

    def reason(self, item_id: int) -> Reason:
        """Why this id stands where it does: `kind`, `utility` (None = no opinion) and what the strategy adds."""
        return self.reasons([item_id])[0]

    def reasons(self, ids: Iterable[int]) -> list[Reason]:
        """JSON-ready reasons of these ids, in their order."""
        return [self._reason(int(position)) for position in self.positions(ids)]

    @cached_property
    def _by_id(self) -> Ints:
        return np.argsort(self.ids, kind="stable")

    def _reason(self, position: int) -> Reason:
        utility = float(self.utility[position])
        if np.isnan(utility):
            return {"kind": "unscored", "utility": None}
        told = dict(self.explain(position)) if self.explain else {"kind": "utility"}
        return {**told, "utility": utility}


def rank_by_utility(
    pool: Pool,
    utility: Array,
    n: int,
    rng: np.random.Generator,
    *,
    explain: Explain | None = None,
    notes: Iterable[Note] = (),
) -> Ranking:
    """The min(n, N) ids of highest utility (N,), best first.

    Equal utilities are ordered by a hash of the item's id and one seed drawn from `rng`, so permuting the rows
    permutes the output only. NaN = no opinion: such rows are dealt in at most every tenth place, in hash order,
    and a note says how many; they are never last by accident. UtilityError for an infinity or a wrong shape.
    """
    values = checked_utility(pool, utility)
    seed = draw_seed(rng)
    missing = np.isnan(values)
    if not missing.any():
        notes = (*notes, *_notes(values, len(pool)))
        positions = descending(values, pool.ids, n, seed)
    else:
        scored, unscored = np.flatnonzero(~missing), np.flatnonzero(missing)
        notes = (*notes, *_notes(values[scored], len(pool)))
        unscored = unscored[np.argsort(item_keys(seed, pool.ids[unscored]))]
        best = scored[descending(values[scored], pool.ids[scored], n, seed)]
        positions = _interleave(best, unscored, n)
    return Ranking(pool.ids[positions], values, pool.ids, notes, explain)


def rank_by_order(
    pool: Pool,
    positions: npt.NDArray[Any],
    utility: Array,
    n: int,
    rng: np.random.Generator,
    *,
    explain: Explain | None = None,
    notes: Iterable[Note] = (),
) -> Ranking:
    """A ranking whose order was chosen jointly: `positions`, then the rest of the pool in hash order up to n."""
    values = checked_utility(pool, utility)
    seed = draw_seed(rng)
    positions = np.asarray(positions, dtype=np.int64)[:n]
    missing = min(n, len(pool)) - len(positions)
    if missing > 0:
        left = np.ones(len(pool), dtype=bool)
        left[positions] = False
        rest = np.flatnonzero(left)
        filling = rest[np.argsort(item_keys(seed, pool.ids[rest]))[:missing]]
        positions = np.concatenate([positions, filling])
        notes = (*notes, filled_note(missing))
    return Ranking(pool.ids[positions], values, pool.ids, tuple(notes), explain)


def checked_utility(pool: Pool, utility: Array) -> Floats:
    """As numpy floats (N,); UtilityError for a wrong shape or an infinity."""
    values = to_numpy(utility)
    if values.shape != (len(pool),):
        raise UtilityError(f"Utility must have shape ({len(pool)},), not {values.shape}.")
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise UtilityError(
            f"{infinite} of {len(values)} utilities are infinite. No opinion is written as NaN."
        )
    return values


def descending(values: Floats, ids: Ints, n: int, seed: int) -> Ints:
    """Positions of the n largest, largest first; equal values in the order of their ids' hash under `seed`."""
    size = len(values)
    if n <= 0 or size == 0:
        return np.empty(0, dtype=np.int64)
    candidates = np.arange(size)
    if n < size:
        # Everything equal to the last value that fits must stay, or array position would decide.
        candidates = np.flatnonzero(values >= _nth_largest(values, n))
    order = candidates[np.argsort(-values[candidates])]
    ordered = values[order]
    equal = ordered[1:] == ordered[:-1]
    if equal.any():
        tied = np.concatenate([equal, [False]]) | np.concatenate([[False], equal])
        run = np.cumsum(np.concatenate([[True], ~equal]))[tied]
        rows = order[tied]
        order[tied] = rows[np.lexsort((item_keys(seed, ids[rows]), run))]
    return order[:n]


def _nth_largest(values: Floats, n: int) -> Any:
    """The n-th largest value, 0 < n < size: of few wanted among many, a sample says which can be among them."""
    step = len(values) // _PROBES
    if step > 1:
        probe = values[::step]
        # In a sample of every step-th value, this place lies below the n-th largest of all, but for bad luck.
        place = n // step + 4 * math.isqrt(n // step) + 8
        if place < len(probe) // 2:
            head = values[values >= np.partition(probe, len(probe) - place)[len(probe) - place]]
            if n <= len(head):
                return np.partition(head, len(head) - n)[len(head) - n]
    return np.partition(values, len(values) - n)[len(values) - n]


def filled_note(count: int) -> Note:
    return Note("filled", f"The last {count} places are filled in random order.", {"count": count})


def sampled_note(used: int, size: int) -> Note:
    return Note(
        "sampled",
        f"Only a random sample of {used:,} of the {size:,} unlabelled items was considered.",
        {"used": used, "size": size},
    )


def labelled_sampled_note(used: int, size: int) -> Note:
    return Note(
        "labelled-sampled",
        f"Of the {size:,} labelled items, a random sample of {used:,} was compared with.",
        {"used": used, "size": size},
    )


def _notes(scored: Floats, size: int) -> tuple[Note, ...]:
    notes = []
    unscored = size - len(scored)
    if unscored:
        message = f"{unscored:,} of {size:,} items have no utility; they are dealt in at random."
        notes.append(Note("unscored", message, {"unscored": unscored, "size": size}))
    if size > 1 and (len(scored) == 0 or (len(scored) > 1 and scored.min() == scored.max())):
        notes.append(Note("degenerate", "All utilities are equal: the order is random.", {"size": size}))
    return tuple(notes)


def _interleave(scored: Ints, unscored: Ints, n: int) -> Ints:
    """Scored rows in order, an unscored one at most every tenth place; what remains of either at the end."""
    total = len(scored) + len(unscored)
    size = max(0, min(n, total))
    period = max(UNSCORED_PERIOD, -(-total // max(1, len(unscored))))
    slots = np.arange(period - 1, size, period)
    dealt = max(len(slots), size - len(scored))
    order = np.empty(size, dtype=np.int64)
    is_slot = np.zeros(size, dtype=bool)
    is_slot[slots] = True
    places = np.flatnonzero(~is_slot)
    order[slots] = unscored[: len(slots)]
    order[places] = np.concatenate([scored[: size - dealt], unscored[len(slots) : dealt]])
    return order
