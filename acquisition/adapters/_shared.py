"""What adapters share: the pool in an order that belongs to its ids, and rankings from what a library answers.

Libraries break ties and draw at random by array position. They are shown the rows in a seeded order of the ids' hashes,
so that what they answer belongs to the ids: the same for every order of the input.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, Ints, take_rows, to_numpy
from acquisition.hashing import draw_seed, item_keys
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, Ranking, rank_by_order, rank_by_utility, sampled_note
from acquisition.reasons import rivals

Doubles = npt.NDArray[np.float64]

LARGEST: Mapping[str, Mapping[str, Any]] = {
    "max_pool": {
        "type": "integer",
        "default": 5_000,
        "minimum": 100,
        "maximum": 100_000,
        "title": "Largest pool",
        "description": "Of a larger pool a random sample of this size is considered: time and memory are the library's.",
    }
}


@dataclass(frozen=True, eq=False)
class View:
    """The rows a library sees: their positions (m,) in the pool, in its order; a seed for its own randomness."""

    pool: Pool
    labeled: Labeled
    rows: Ints
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def proba(self) -> Doubles:
        """(m, C)."""
        return _taken(self.pool.proba, self.rows)

    def draws(self) -> Doubles:
        """(m, C, M)."""
        return _taken(self.pool.draws, self.rows)

    def features(self) -> Doubles:
        """(m, D)."""
        return _taken(self.pool.features, self.rows)

    def known(self) -> Ints:
        """Positions (l,) of the labelled rows, by id."""
        return np.asarray(np.argsort(self.labeled.ids), dtype=np.int64)

    def known_features(self) -> Doubles:
        """(l, D); no rows where labelled items have no features."""
        if self.labeled.features is None:
            return np.empty((0, 0 if self.pool.features is None else self.pool.features.shape[1]))
        return _taken(self.labeled.features, self.known())

    def random_state(self) -> np.random.RandomState:
        return np.random.RandomState(self.seed % 2**32)


def view_of(pool: Pool, labeled: Labeled, rng: np.random.Generator, *, most: int | None = None) -> View:
    """All rows, or a uniform sample of at most so many."""
    seed = draw_seed(rng)
    rows = np.asarray(np.argsort(item_keys(seed, pool.ids))[:most], dtype=np.int64)
    return View(pool, labeled, rows, seed)


def rank_scores(
    view: View, scores: Array, n: int, rng: np.random.Generator, *, kind: str, notes: tuple[Note, ...] = ()
) -> Ranking:
    """Scores (m,) of the rows seen, higher = label first; what is not finite is no opinion."""
    pool = view.pool
    return rank_by_utility(
        pool,
        _spread(view, scores),
        n,
        rng,
        explain=_explain(pool, kind),
        notes=(*notes, *_sample_notes(view)),
    )


def rank_picks(
    view: View, picks: Ints, scores: Array, n: int, rng: np.random.Generator, *, kind: str
) -> Ranking:
    """Places `picks` among the rows seen, in the order in which a library chose them; scores as in `rank_scores`."""
    utility = _spread(view, scores)
    return rank_by_order(
        view.pool,
        view.rows[picks],
        utility,
        n,
        rng,
        explain=_explain(view.pool, kind),
        notes=_sample_notes(view),
    )


@contextmanager
def quiet() -> Iterator[None]:
    """A library's warnings are for those who call it by hand."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _taken(array: Array | None, rows: Ints) -> Doubles:
    assert array is not None
    return np.asarray(to_numpy(take_rows(array, rows)), dtype=np.float64)


def _spread(view: View, scores: Array) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    utility = np.full(len(view.pool), np.nan)
    utility[view.rows] = np.where(np.isfinite(values), values, np.nan)
    return utility


def _sample_notes(view: View) -> tuple[Note, ...]:
    return (sampled_note(len(view), len(view.pool)),) if len(view) < len(view.pool) else ()


def _explain(pool: Pool, kind: str) -> Callable[[int], Mapping[str, Any]]:
    """`kind`, and the classes between which the model wavers where it says anything."""

    def explain(row: int) -> Mapping[str, Any]:
        if pool.proba is None:
            return {"kind": kind}
        return {"kind": kind, **rivals(pool, row)}

    return explain
