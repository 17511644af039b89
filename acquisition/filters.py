"""Hard filters: which rows may be ranked at all, from what the model says; and near-duplicates within a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Ints, map_classes_first, namespace, take_rows, to_numpy
from acquisition.hashing import item_keys
from acquisition.ranking import Note

Mask = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

# One block of similarities of candidates to labelled rows: 16 MiB in float32.
_BLOCK_ENTRIES = 1 << 22
_BLOCK_ROWS = 1_024

FILTER_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "min_confidence": {
        "type": "number",
        "default": 0.0,
        "minimum": 0,
        "maximum": 1,
        "title": "Least confidence",
        "description": "Items whose best guess is less probable come after all others: hopeless cases, noise.",
    },
    "max_confidence": {
        "type": "number",
        "default": 1.0,
        "minimum": 0,
        "maximum": 1,
        "title": "Largest confidence",
        "description": "Items whose best guess is more probable come after all others: nothing to learn from them.",
    },
    "max_outlier": {
        "type": "number",
        "default": 1.0,
        "minimum": 0,
        "maximum": 1,
        "title": "Largest outlier probability",
        "description": "Items that more probably are 'none of these' come after all others, the least probable first. "
        "1: no filter. Off until there is a label of that class.",
    },
}


def confidence(proba: Array, *, multi_label: bool) -> Doubles:
    """Probability (n,) of the best guess; multi-label: of the best guess of a class, on average."""
    xp = namespace(proba)
    if multi_label:
        found = map_classes_first(lambda block: xp.mean(xp.maximum(block, 1 - block), axis=0), proba)
    else:
        found = map_classes_first(lambda block: xp.max(block, axis=0), proba)
    return np.asarray(to_numpy(found), dtype=np.float64)


def keep_by_model(
    proba: Array,
    options: Mapping[str, Any],
    *,
    multi_label: bool,
    outlier: int | None,
    outlier_seen: bool,
) -> tuple[Mask, tuple[Note, ...]]:
    """Which rows (n,) of proba (n, C) pass, and a note for each filter that held rows back or could not work.

    outlier_seen: there is a label of the outlier class; before, its probability has seen no example and means nothing.
    """
    kept = np.ones(proba.shape[0], dtype=bool)
    notes: list[Note] = []
    low, high = options["min_confidence"], options["max_confidence"]
    if low > 0 or high < 1:
        sure = confidence(proba, multi_label=multi_label)
        inside = (sure >= low) & (sure <= high)
        notes += _held_note(inside, f"a confidence outside {low:g} to {high:g}")
        kept &= inside
    if options["max_outlier"] < 1 and outlier is not None:
        if outlier_seen:
            inside = to_numpy(proba[:, outlier]) <= options["max_outlier"]
            notes += _held_note(inside, f"an outlier probability above {options['max_outlier']:g}")
            kept &= inside
        else:
            notes.append(
                Note("filter-off", "The filter of outliers is off until there is a label of that class.")
            )
    elif options["max_outlier"] < 1:
        notes.append(Note("filter-off", "The filter of outliers is off: no class is marked as outlier."))
    return kept, tuple(notes)


def last_in_order(ids: Ints, options: Mapping[str, Any], outlier: Array | None, seed: int) -> Ints:
    """Positions of held-back ids (h,) in the order in which they come after all others.

    By their probability of being outliers (h,), least first, where these are held back (NaN counts as 1); equal ones, and
    all where there is no such class, in the order of their ids' hashes.
    """
    order = np.argsort(item_keys(seed, ids))
    if outlier is None or options["max_outlier"] >= 1:
        return order
    return order[np.argsort(np.nan_to_num(to_numpy(outlier)[order], nan=1.0), kind="stable")]


def needs_of(options: Mapping[str, Any]) -> frozenset[str]:
    """The signals without which the filters cannot work."""
    by_model = options["min_confidence"] > 0 or options["max_confidence"] < 1 or options["max_outlier"] < 1
    return frozenset({"proba"} if by_model else ())


def distinct(candidates: Array, known: Array | None, similarity: float) -> Mask:
    """Which candidates (G, D), best first, are no near-duplicates of a known row (l, D) or of a better candidate kept.

    Near: cosine similarity above `similarity`. Rows of zeros are like nothing. O(G (l + G) D), in blocks of similarities.
    """
    rows = _unit(candidates)
    kept = np.ones(len(rows), dtype=bool)
    size = max(1, _BLOCK_ENTRIES // max(1, len(rows)))
    for start in range(0, 0 if known is None else known.shape[0], size):
        block = _unit(take_rows(known, np.arange(start, min(start + size, known.shape[0]))))  # type: ignore[union-attr]
        kept &= (rows @ block.T).max(axis=1) <= similarity
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        fresh = kept[start : start + _BLOCK_ROWS]
        before = rows[:start][kept[:start]]
        if len(before):
            fresh &= (block @ before.T).max(axis=1) <= similarity
        alike = block @ block.T > similarity
        for place in np.flatnonzero(fresh).tolist():
            if fresh[place]:
                fresh[place + 1 :] &= ~alike[place, place + 1 :]
    return kept


def _held_note(inside: Mask, why: str) -> list[Note]:
    held = int(len(inside) - inside.sum())
    if not held:
        return []
    message = f"{held:,} of {len(inside):,} items are held back: {why}."
    return [Note("held-back", message, {"held": held, "size": len(inside)})]


def _unit(rows: Array) -> npt.NDArray[np.float32]:
    values = to_numpy(rows).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))
    return np.asarray(values / np.maximum(lengths, 1e-12)[:, None], dtype=np.float32)
