"""What a label costs: seconds of an item, from its size, learned from the answers so far."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from django.db import connection

Floats = npt.NDArray[np.float64]
LEAST, FEWEST = 0.2, 30  # seconds below which nobody looked; answers below which one number stands for all
MOST = 1_800.0  # seconds above which somebody went away
RIDGE = 3.0  # as if each coefficient had been seen to be zero so many times
# PostgreSQL knows the size of a stored text without reading it.
SIZES = """
SELECT i.row, coalesce(octet_length(i.text), s.width::bigint * s.height, 1)::bigint AS size
FROM items_item i LEFT JOIN items_asset s ON s.id = i.asset_id
WHERE i.project_id = %s
"""
TIMED = """
SELECT coalesce(octet_length(i.text), s.width::bigint * s.height, 1)::float8, a.annotator_id, a.seconds
FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id LEFT JOIN items_asset s ON s.id = i.asset_id
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' AND a.seconds IS NOT NULL
ORDER BY a.created_at DESC LIMIT 20000
"""


@dataclass(frozen=True)
class CostModel:
    """log seconds = base + slope * log size, for a person of average pace. `n` answers; `spread`: deviation of the log."""

    base: float
    slope: float
    spread: float
    n: int

    def as_json(self) -> dict[str, float]:
        return asdict(self)

    def median(self, size: Floats) -> Floats:
        """Median seconds (m,) of items of these sizes (characters or pixels)."""
        return np.asarray(np.exp(self.base + self.slope * np.log1p(size)))

    def mean(self, size: Floats) -> Floats:
        """Mean seconds (m,), which time left is counted by: above the median, for times are skewed."""
        return np.asarray(self.median(size) * np.exp(min(self.spread, 2.0) ** 2 / 2))


UNKNOWN = CostModel(0.0, 0.0, 0.0, 0)


def fit_cost(size: Floats, annotators: npt.NDArray[np.int64], seconds: Floats) -> CostModel:
    """Least squares of log seconds on log size with a pace for each person, both drawn towards none (ridge).

    Times of nobody looking and of somebody away are left out. With few answers every item costs their median; with none,
    one second, so that costs change nothing.
    """
    used = np.isfinite(seconds) & (seconds >= LEAST) & (seconds <= MOST)
    n = int(used.sum())
    if n == 0:
        return UNKNOWN
    log = np.log(seconds[used])
    if n < FEWEST:
        return CostModel(float(np.median(log)), 0.0, float(log.std()), n)
    x = np.log1p(size[used])
    centre = x.mean()
    _, who = np.unique(annotators[used], return_inverse=True)
    people = np.eye(int(who.max()) + 1)[who]
    people -= people.mean(axis=0)
    design = np.column_stack([np.ones(n), x - centre, people])
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 0.0
    solution = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ log)
    spread = float((log - design @ solution).std())
    slope = float(solution[1])
    return CostModel(float(solution[0] - slope * centre), slope, spread, n)


def cost_of(timed: list[tuple[float, int, float]]) -> tuple[CostModel, Floats]:
    """The model of (size, annotator, seconds) lines, and their sizes."""
    if not timed:
        return UNKNOWN, np.zeros(0)
    size, person, seconds = (np.array(column, dtype=np.float64) for column in zip(*timed, strict=True))
    return fit_cost(size, person.astype(np.int64), seconds), size


def cost_model(project_id: int) -> CostModel:
    """Seconds of an item by its size, from the newest answers; one second each where there are none."""
    with connection.cursor() as cursor:
        cursor.execute(TIMED, [project_id])
        return cost_of(cursor.fetchall())[0]
