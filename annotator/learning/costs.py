"""Seconds that a label of each row costs, for strategies that weigh worth against time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annotator.learning.arrays import fetch_columns
from annotator.quality.cost import SIZES, cost_model

LEAST = 0.1  # seconds: a cost is above zero, and nobody is faster


def pool_cost(project_id: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Median seconds (n,) of the rows (n,) by their sizes, as the answers so far say; all equal while they say nothing."""
    model = cost_model(project_id)
    if not model.slope:
        return np.full(len(rows), max(LEAST, float(np.exp(model.base))))
    known, sizes = fetch_columns(SIZES, [project_id], {"row": "i4", "size": "i8"})
    if not len(known):
        return np.full(len(rows), max(LEAST, float(np.exp(model.base))))
    # A row that left the pool meanwhile costs what the usual one does.
    by_row = np.full(max(int(known.max()), int(rows.max(initial=0))) + 1, float(np.median(sizes)))
    by_row[known] = sizes
    return np.maximum(LEAST, model.median(by_row[rows]))
