"""What a reason says of the model's probabilities: the classes that compete for a row, or the labels least sure of."""

from collections.abc import Callable

import numpy as np

from acquisition import scores
from acquisition.arrays import Array, to_numpy
from acquisition.pool import Pool
from acquisition.ranking import Reason

_SHOWN_LABELS = 3


def rivals(pool: Pool, row: int, *, per_class: Callable[[Array], Array] = scores.binary_margin) -> Reason:
    """The two likeliest `classes`; multi-label: the three `labels` of highest score `per_class`. With `probabilities`."""
    assert pool.proba is not None
    proba = to_numpy(pool.proba[row, :]).astype(np.float64)
    if pool.multi_label:
        name, best = "labels", np.argsort(-to_numpy(per_class(proba)), kind="stable")[:_SHOWN_LABELS]
    else:
        name, best = "classes", np.argsort(-proba, kind="stable")[:2]
    return {name: best.tolist(), "probabilities": proba[best].tolist()}
