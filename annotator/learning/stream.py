"""From utilities to the order in which a round serves: one array, computed once, read by publishing and refilling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.compose import Served, exploration_order, fitting_mode, serve_order, stochastic_top_k
from acquisition.hashing import item_keys
from acquisition.ranking import Ranking, descending

Ints = npt.NDArray[np.int64]
RANKED, UNSCORED, FINISH, HELD, ASKED = 0, 1, 2, 3, 4
JOINTLY = 100  # a jointly chosen batch is at least so large: several people hold items of it
UNSCORED_PERIOD = 10  # items without a score take every tenth place
ASKED_PERIOD = 2  # items that a stream kept take every second place
FINISH_PERIOD, MOST_FINISH = 2, 500  # started items take every second place, up to so many


@dataclass(frozen=True, eq=False)
class Stream:
    """rows (n,) in serving order; q (n,): probability of each draw given those before; kind (n,): why it is there."""

    rows: Ints
    q: npt.NDArray[np.float64]
    kind: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, size: int) -> Stream:
        return self.take(slice(start, start + size))

    def take(self, piece: slice | Ints) -> Stream:
        return Stream(
            np.asarray(self.rows[piece], dtype=np.int64),
            np.asarray(self.q[piece], dtype=np.float64),
            np.asarray(self.kind[piece]),
        )


def make_stream(
    ranking: Ranking,
    *,
    batch_aware: bool,
    randomness: float,
    unscored: Ints,
    started: Ints,
    seed: int,
    asked: Ints | None = None,
) -> Stream:
    """The whole ranking, best first, with unscored and started items dealt in at fixed places.

    `asked`, in their order, take every second place: somebody has decided that these are to be labelled.

    `randomness` r > 0 draws with weights utility^(1/r) (or rank^(-1/r) where utilities can be negative): 0 is the
    strict order. A jointly chosen batch keeps its order, the rest follows by utility.
    """
    rng = np.random.default_rng([seed, 1])
    if len(ranking.ids) == 0:
        ranked = _certain(ranking.ids, RANKED)
    elif batch_aware or randomness <= 0:
        ranked = _certain(_strict(ranking, batch_aware=batch_aware, seed=seed), RANKED)
    else:
        draw = stochastic_top_k(
            ranking.utility,
            len(ranking.ids),
            mode=fitting_mode(ranking.utility),
            beta=1 / randomness,
            rng=rng,
            ids=ranking.ids,
        )
        kinds = np.full(len(draw.positions), RANKED, dtype=np.uint8)
        ranked = Stream(ranking.ids[draw.positions], draw.q, kinds)
    ranked = deal_in(ranked, _certain(_hashed(unscored, seed), UNSCORED), UNSCORED_PERIOD)
    started = _hashed(started, seed)
    finish = _certain(started[:MOST_FINISH], FINISH)
    if asked is not None:
        ranked = deal_in(ranked, _certain(asked, ASKED), ASKED_PERIOD)
    return deal_in(ranked, finish, FINISH_PERIOD, tail=_certain(started[MOST_FINISH:], FINISH))


def random_stream(rows: Ints, seed: int) -> Stream:
    """Rows in the order of their exploration keys."""
    return _certain(exploration_order(seed, rows), RANKED)


def deal_in(main: Stream, extra: Stream, period: int, *, tail: Stream | None = None) -> Stream:
    """`extra` at every period-th place of `main`, what remains of either at the end, then `tail`."""
    if not len(extra):
        return main
    slots = np.arange(len(extra), dtype=np.int64) * period + period - 1
    free = len(main) + np.arange(len(extra))
    places = np.minimum(slots, free)
    is_extra = np.zeros(len(main) + len(extra), dtype=bool)
    is_extra[places] = True

    def merge(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        merged = np.empty(len(is_extra), dtype=ours.dtype)
        merged[is_extra], merged[~is_extra] = theirs, ours
        return merged

    dealt = Stream(merge(main.rows, extra.rows), merge(main.q, extra.q), merge(main.kind, extra.kind))
    return dealt if tail is None or not len(tail) else _joined(dealt, tail)


def with_rest(stream: Stream, rest: Ints, seed: int) -> Stream:
    """The stream, and after its end rows that were not considered at all, in random order."""
    return _joined(stream, _certain(_hashed(rest, seed), UNSCORED)) if len(rest) else stream


def with_held(stream: Stream, held: Ints) -> Stream:
    """The stream, and after its end, in their order, rows that filters hold back."""
    return _joined(stream, _certain(held, HELD)) if len(held) else stream


def compose_window(
    stream: Stream,
    explore: Ints,
    *,
    share: float,
    size: int,
    n_pool: int,
    seed: int,
    part: int,
    beyond: Mapping[int, float],
) -> Served:
    """The next `size` rows to serve from a part of the stream and of the exploration order. `part` counts refills,
    `beyond` has the weights of exploration's rows that come after this part."""
    rng = np.random.default_rng([seed, 2, part])
    return serve_order(stream.rows, stream.q, explore, share, size, n_pool, rng, beyond)


def _joined(first: Stream, then: Stream) -> Stream:
    if not len(then):
        return first
    return Stream(
        np.concatenate([first.rows, then.rows]),
        np.concatenate([first.q, then.q]),
        np.concatenate([first.kind, then.kind]),
    )


def _strict(ranking: Ranking, *, batch_aware: bool, seed: int) -> Ints:
    if not batch_aware:
        return ranking.order
    left = np.ones(len(ranking.ids), dtype=bool)
    left[ranking.positions(ranking.order)] = False
    ids, values = ranking.ids[left], np.asarray(ranking.utility[left], dtype=np.float64)
    known = values[~np.isnan(values)]
    values = np.where(np.isnan(values), np.median(known) if len(known) else 0.0, values)
    return np.concatenate([ranking.order, ids[descending(values, ids, len(ids), seed)]])


def _certain(rows: Ints, kind: int) -> Stream:
    return Stream(rows, np.ones(len(rows)), np.full(len(rows), kind, dtype=np.uint8))


def _hashed(rows: Ints, seed: int) -> Ints:
    return rows[np.argsort(item_keys(seed, rows))] if len(rows) else rows
