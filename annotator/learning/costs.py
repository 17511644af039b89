"""Seconds that a label of each row costs, for strategies that weigh worth against time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.learning.arrays import fetch_columns
from annotator.quality.cost import SIZES, CostModel, cost_model

LEAST = 0.1  # seconds: a cost is above zero, and nobody is faster


def pool_cost(project_id: int, rows: npt.NDArray[np.int64], model: CostModel) -> npt.NDArray[np.float64]:
    """Median seconds (n,) of the rows (n,) by their sizes, as a model has it; all equal where it knows nothing of sizes."""
    usual = max(LEAST, float(np.exp(model.base)))
    if not model.slope or not len(rows):
        return np.full(len(rows), usual)
    known, sizes = fetch_columns(SIZES, [project_id], {"row": "i4", "size": "i8"})
    # An item that was deleted meanwhile costs what the usual one does.
    by_row = np.full(int(max(known.max(initial=0), rows.max())) + 1, np.median(sizes) if len(sizes) else 1.0)
    by_row[known] = sizes
    return np.maximum(LEAST, model.median(by_row[rows]))


def kept_model(project_id: int, settings: dict[str, Any]) -> CostModel:
    """The model on a round's record; made from the answers so far, and put there, where there is none yet.

    So a ranking that is replayed weighs items as it did then.
    """
    if "cost_model" not in settings:
        settings["cost_model"] = cost_model(project_id).as_json()
    return CostModel(**settings["cost_model"])
