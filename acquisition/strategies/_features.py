"""What the strategies on features share: a working copy in an order that belongs to the ids, and what to say of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, Ints, namespace, take_rows, to_numpy, widen
from acquisition.errors import PoolError
from acquisition.hashing import draw_seed, item_keys
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Note, labelled_sampled_note, sampled_note
from acquisition.space import blocks

NORMALISE_PARAM: Mapping[str, Mapping[str, Any]] = {
    "normalise": {
        "type": "boolean",
        "default": True,
        "title": "Compare directions",
        "description": "Features are brought to length 1 first, so that the angle between two of them decides.",
    },
}


def max_pool_param(default: int, maximum: int) -> Mapping[str, Mapping[str, Any]]:
    return {
        "max_pool": {
            "type": "integer",
            "default": default,
            "minimum": 100,
            "maximum": maximum,
            "title": "Largest pool",
            "description": "Of a larger pool a random sample of this size is considered; a larger one takes longer.",
        },
    }


@dataclass(frozen=True, eq=False)
class View:
    """The rows that are considered, with their features in memory, float32 or wider.

    rows (m,): positions in the pool, in the order of a hash of their ids, so that nothing depends on the order of the
    pool. everything (m + l, D): features of these rows, then of labelled items, if they are wanted and there are any.
    """

    rows: Ints
    everything: Array
    size: int
    notes: tuple[Note, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> Array:
        """(m, D) of the rows."""
        return self.everything[: len(self.rows), :]

    @property
    def known(self) -> Array:
        """(l, D) of the labelled items."""
        return self.everything[len(self.rows) :, :]

    def over_pool(self, values: Floats | Ints) -> npt.NDArray[np.float64]:
        """Values (m,) of the rows as values (n,) of the pool; NaN for rows that are not considered."""
        every = np.full(self.size, np.nan)
        every[self.rows] = values
        return every


def arrange(
    pool: Pool,
    labeled: Labeled,
    max_pool: int,
    rng: np.random.Generator,
    *,
    normalise: bool = False,
    centre: bool = False,
    with_known: bool = False,
    most_known: int | None = None,
) -> View:
    """The one working copy of the features: of a larger pool a sample, and with `with_known` the labelled items' too, at
    most `most_known` of them (default: as of the pool).

    normalise: rows are brought to length 1 (rows of zeros stay). centre: then moved so that their mean is 0, which
    changes no distance and makes products exact. PoolError for features that are not finite.
    """
    assert pool.features is not None
    rows = sample(pool.ids, max_pool, rng)
    known = labeled.features if with_known and len(labeled) else None
    known_rows = np.empty(0, np.int64) if known is None else sample(labeled.ids, most_known or max_pool, rng)
    source = pool.features
    xp = namespace(source)
    m = len(rows)
    copy = xp.empty(
        (m + len(known_rows), source.shape[1]),
        dtype=widen(source[:0, :]).dtype,
        device=array_api_compat.device(source),
    )
    _fill(copy[:m, :], source, rows, normalise=normalise)
    if known is not None:
        _fill(copy[m:, :], known, known_rows, normalise=normalise)
    if centre and m:
        middle = _mean(copy[:m, :])
        for start, stop in blocks(copy.shape[0], copy.shape[1]):
            copy[start:stop, :] -= middle[None, :]
    notes = [sampled_note(m, len(pool))] if m < len(pool) else []
    if known is not None and len(known_rows) < len(labeled):
        notes.append(labelled_sampled_note(len(known_rows), len(labeled)))
    if with_known and len(labeled) and known is None:
        notes.append(
            Note("labelled-unseen", "Labelled items have no features: groups with labels are not avoided.")
        )
    return View(rows, copy, len(pool), tuple(notes))


def sample(ids: Ints, cap: int, rng: np.random.Generator) -> Ints:
    """Positions of min(cap, n) ids, uniform, in an order that belongs to the ids and not to their rows."""
    return np.asarray(np.argsort(item_keys(draw_seed(rng), ids))[:cap], dtype=np.int64)


def finite_rows(features: Array, rows: Ints) -> npt.NDArray[np.bool_]:
    """Which of these rows (m,) of the features (n, D) are finite."""
    xp = namespace(features)
    found = [
        to_numpy(xp.all(xp.isfinite(take_rows(features, rows[start:stop])), axis=1))
        for start, stop in blocks(len(rows), features.shape[1])
    ]
    return np.concatenate(found)


def not_finite() -> PoolError:
    return PoolError("Features hold NaN or infinite values.")


def _fill(copy: Array, source: Array, rows: Ints, *, normalise: bool) -> None:
    """Writes the rows of the source, widened."""
    xp = namespace(copy)
    for start, stop in blocks(len(rows), copy.shape[1]):
        block = widen(take_rows(source, rows[start:stop]))
        lengths = xp.sqrt(xp.vecdot(block, block))
        if not bool(xp.all(xp.isfinite(lengths))):
            raise not_finite()
        copy[start:stop, :] = (
            block / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[:, None] if normalise else block
        )


def _mean(rows: Array) -> Array:
    """(D,), summed in blocks: a running sum of a million float32 would drift."""
    xp = namespace(rows)
    parts = [xp.sum(rows[start:stop, :], axis=0) for start, stop in blocks(*rows.shape)]
    return xp.sum(xp.stack(parts), axis=0) / rows.shape[0]
