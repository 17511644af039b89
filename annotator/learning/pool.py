"""What may be served now, as arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.learning.arrays import fetch_columns

Ints = npt.NDArray[np.int64]

# A superset on purpose: answered and refused items are few, and are taken out in memory.
LIVE = "SELECT row, id FROM items_item WHERE project_id = %s AND archived_at IS NULL AND split = 'pool'"
# `missing`: how many labels an answered item still wants; see labels_wanted in the migrations of projects.
ANSWERED = """
SELECT i.row, (labels_wanted(p.overlap, p.overlap_share, p.id, i.row) - count(*))::bigint AS missing
FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id JOIN projects_project p ON p.id = a.project_id
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' GROUP BY i.row, p.id
"""
REFUSED = """
SELECT DISTINCT i.row FROM labeling_skip s JOIN items_item i ON i.id = s.item_id
WHERE s.project_id = %s AND s.policy = 'nobody' AND NOT s.withdrawn
"""


@dataclass(frozen=True, eq=False)
class ServablePool:
    """Items that wait for answers: fresh ones without any, and started ones that want more (overlap).

    All arrays hold `Item.row`, ascending; `item_id` (n_rows,) maps rows to ids, 0 where there is no servable item.
    """

    fresh: Ints
    started: Ints
    item_id: Ints

    @property
    def rows(self) -> Ints:
        return np.union1d(self.fresh, self.started) if len(self.started) else self.fresh

    def digest(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.rows, dtype="<i8").tobytes()).hexdigest()


def servable_pool(project_id: int, *, n_rows: int) -> ServablePool:
    """The live pool items below `n_rows` that do not have all their answers yet and were not refused for everybody."""
    rows, ids = fetch_columns(LIVE, [project_id], {"row": "i4", "id": "i8"})
    answered, missing = fetch_columns(ANSWERED, [project_id], {"row": "i4", "missing": "i8"})
    (refused,) = fetch_columns(REFUSED, [project_id], {"row": "i4"})
    item_id = np.zeros(n_rows, dtype=np.int64)
    below = rows < n_rows
    item_id[rows[below]] = ids[below]
    fresh = item_id > 0
    fresh[refused[refused < n_rows]] = False
    inside = answered < n_rows
    answered, missing = answered[inside], missing[inside]
    started = answered[(missing > 0) & fresh[answered]]
    fresh[answered] = False
    return ServablePool(np.flatnonzero(fresh).astype(np.int64), np.sort(started), item_id)


def pack_rows(rows: Ints, n_rows: int) -> npt.NDArray[np.uint8]:
    """Rows as packed bits: 125 kB for a million."""
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return np.packbits(mask)


def unpack_rows(packed: npt.NDArray[np.uint8]) -> Ints:
    return np.flatnonzero(np.unpackbits(np.asarray(packed))).astype(np.int64)
