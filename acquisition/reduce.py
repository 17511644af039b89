"""One number of many: the scores of a row's classes, or of an item's parts (boxes, sentences, voxels), by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import Array, Floats, namespace
from acquisition.errors import ParameterError, UtilityError

REDUCTIONS = ("mean", "max", "top_k_mean", "sum")

# Ready to be put into a strategy's params; `x-tasks` names the tasks for which forms show a parameter.
REDUCTION_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "reduction": {
        "type": "string",
        "enum": list(REDUCTIONS),
        "default": "mean",
        "title": "How classes are combined",
        "description": "One unsure class is enough (max), or all count (mean, sum), or the k worst.",
        "x-tasks": ["multi"],
    },
    "top_k": {
        "type": "integer",
        "default": 3,
        "minimum": 1,
        "title": "Classes that count",
        "description": "The k of top_k_mean.",
        "x-tasks": ["multi"],
    },
}


def reduce_axis(scores: Array, how: str, *, k: int = 3, axis: int = -1) -> Array:
    """`scores` with one axis reduced; top_k_mean is the mean of the min(k, length) largest."""
    xp = namespace(scores)
    match how:
        case "mean":
            return xp.mean(scores, axis=axis)
        case "max":
            return xp.max(scores, axis=axis)
        case "sum":
            return xp.sum(scores, axis=axis)
        case "top_k_mean":
            last = xp.moveaxis(xp.sort(scores, axis=axis, descending=True), axis, -1)
            return xp.mean(last[..., : min(k, scores.shape[axis])], axis=-1)
    raise ParameterError("reduction", f"'{how}' is not one of {', '.join(REDUCTIONS)}.")


def reduce_parts(
    scores: Floats, item: npt.NDArray[np.integer[Any]], n_items: int, how: str, *, k: int = 3
) -> Floats:
    """Utility (n_items,) of items from the scores (parts,) of their parts; item (parts,) says whose each part is.

    For strategies that score boxes, sentences or voxels; those that there are rank whole items and do not call it.
    An item without parts is NaN: no opinion. Parts may come in any order; their scores must be finite.
    """
    if how not in REDUCTIONS:
        raise ParameterError("reduction", f"'{how}' is not one of {', '.join(REDUCTIONS)}.")
    if not bool(np.all(np.isfinite(scores))):
        raise UtilityError("Scores of parts must be finite.")
    # Best part first within each item, so that the k largest are the first k.
    order = np.lexsort((-scores, item))
    scores, item = scores[order].astype(np.float64), item[order]
    counts = np.bincount(item, minlength=n_items)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    kept = {"max": 1, "top_k_mean": k}.get(how, len(scores))
    within = np.arange(len(scores)) - starts[item] < kept
    totals = np.bincount(item[within], weights=scores[within], minlength=n_items)
    divisor = np.ones(n_items) if how == "sum" else np.maximum(1, np.minimum(counts, kept))
    return np.where(counts > 0, totals / divisor, np.nan)
