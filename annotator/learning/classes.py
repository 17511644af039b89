"""A model's classes read in terms of today's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]


def to_classes(
    proba: Probabilities,
    have: Sequence[str],
    resolve: Mapping[str, str | None],
    want: Sequence[str],
    *,
    multi: bool,
) -> Probabilities:
    """Probabilities (n, len(have)) -> (n, len(want)): merged classes add up, retired ones leave, new ones get nothing.

    Single-label rows sum to one again; a row that had given everything to retired classes knows nothing: uniform.
    """
    if tuple(have) == tuple(want):
        return proba
    column = {key: index for index, key in enumerate(want)}
    found = np.zeros((len(proba), len(want)), dtype=np.float32)
    for index, key in enumerate(have):
        heir = resolve.get(key)
        if heir in column:
            target = column[heir]
            if multi:
                # One of several merged classes is enough.
                found[:, target] = 1 - (1 - found[:, target]) * (1 - proba[:, index])
            else:
                found[:, target] += proba[:, index]
    if multi or not len(want):
        return found
    total = found.sum(axis=1, keepdims=True)
    known = total[:, 0] > 1e-6
    found[known] /= total[known]
    found[~known] = 1 / len(want)
    return found
