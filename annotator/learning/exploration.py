"""The random share: the labels on which a model may be judged.

Every row has a fixed pseudo-random key. The exploration stream serves the unlabelled row with the smallest key, so all
labelled rows with keys up to the largest one served are a uniform sample of the project, whoever chose them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquisition import compose
from annotator.learning.arrays import fetch_columns

# Withdrawn answers count: their row was served, and its key was passed.
DRAWN = """
SELECT DISTINCT i.row FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id
WHERE a.project_id = %s AND a.served @> '{"exploration": true}'
"""


def explored_rows(project_id: int) -> npt.NDArray[np.int64]:
    """Rows that were answered after an exploration draw."""
    (rows,) = fetch_columns(DRAWN, [project_id], {"row": "i4"})
    return rows


def random_share(project_id: int, seed: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the labelled `rows` (n,) belong to the random share."""
    return compose.random_share(seed, rows, explored_rows(project_id))
