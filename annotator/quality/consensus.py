"""What people agree on: the answer taken as true for each item that somebody answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from django.db import connection

from annotator.projects.models import LabelSchema, Project

# One line per valid answer of an item that may be trained on, lowest row first.
ANSWERS = """
SELECT i.row, a.regions->0->'classes'
FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' AND i.archived_at IS NULL AND i.split = ANY(%s)
ORDER BY i.row
"""
SPLITS = ("pool",)


@dataclass(frozen=True, eq=False)
class Consensus:
    """Items with an agreed answer, by row.

    rows (n,) ascending; targets: class indices (n,), or booleans (n, C) where any number of classes may be chosen;
    agreement (n,): share of the votes that say so; votes (n,). `undecided`: items without a majority.
    """

    class_keys: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.bool_]
    agreement: npt.NDArray[np.float64]
    votes: npt.NDArray[np.int64]
    undecided: int

    def __len__(self) -> int:
        return len(self.rows)

    def digest(self) -> str:
        """SHA-256 of classes, rows and targets in canonical form: equal training sets have equal digests."""
        state = hashlib.sha256(json.dumps(self.class_keys).encode())
        state.update(np.ascontiguousarray(self.rows, dtype="<i8").tobytes())
        wide = self.targets.ndim == 2
        state.update(np.ascontiguousarray(self.targets, dtype="u1" if wide else "<i8").tobytes())
        return state.hexdigest()


def consensus(
    project: Project, schema: LabelSchema | None = None, *, splits: tuple[str, ...] = SPLITS
) -> Consensus:
    """The majority of the valid answers of distinct people, read in terms of `schema` (default: the one in force).

    Merged classes count as their heirs, answers of retired classes without heir do not vote; a tie is no consensus.
    Archived items are left out, and so is every split that is not named.
    """
    read = answers_reader(project, schema or project.schema)
    with connection.cursor() as cursor:
        cursor.execute(ANSWERS, [project.pk, list(splits)])
        return read(
            (row, json.loads(names) if isinstance(names, str) else names or [])
            for row, names in cursor.fetchall()
        )


def answers_reader(
    project: Project, schema: LabelSchema
) -> Callable[[Iterable[tuple[int, Sequence[str]]]], Consensus]:
    """The rule of `consensus` for any (row, chosen class keys), lowest row first; asks the database only now."""
    keys = tuple(label.key for label in schema.active_classes())
    index = {key: n for n, key in enumerate(keys)}
    columns = {old: index.get(new) if new else None for old, new in schema.resolve().items()}
    agree = _multi if project.task == Project.Task.MULTI else _single

    def read(answers: Iterable[tuple[int, Sequence[str]]]) -> Consensus:
        return agree(keys, [(row, [columns.get(key) for key in names]) for row, names in answers])

    return read


def _single(keys: tuple[str, ...], answers: list[tuple[int, list[int | None]]]) -> Consensus:
    votes = [(row, chosen[0]) for row, chosen in answers if chosen and chosen[0] is not None]
    rows, place, matrix = _count_rows([row for row, _ in votes], len(keys))
    np.add.at(matrix, (place, np.array([column for _, column in votes], dtype=np.int64)), 1)
    total = matrix.sum(axis=1)
    best = matrix.max(axis=1, initial=0)
    clear = (matrix == best[:, None]).sum(axis=1) == 1 if len(keys) else np.zeros(len(rows), dtype=bool)
    targets = matrix.argmax(axis=1) if len(keys) else np.zeros(len(rows), dtype=np.int64)
    return Consensus(
        keys,
        rows[clear],
        targets[clear].astype(np.int64),
        (best / np.maximum(total, 1))[clear],
        total[clear],
        int((~clear).sum()),
    )


def _multi(keys: tuple[str, ...], answers: list[tuple[int, list[int | None]]]) -> Consensus:
    # An answer that names retired classes only says nothing about today's classes.
    valid = [
        (row, {column for column in chosen if column is not None})
        for row, chosen in answers
        if not chosen or any(column is not None for column in chosen)
    ]
    rows, place, matrix = _count_rows([row for row, _ in valid], len(keys))
    for where, (_, chosen) in zip(place, valid, strict=True):
        matrix[where, list(chosen)] += 1
    total = np.bincount(place, minlength=len(rows)) if len(place) else np.zeros(0, dtype=np.int64)
    doubled = 2 * matrix
    clear = ~(doubled == total[:, None]).any(axis=1)
    targets = doubled > total[:, None]
    agreeing = np.where(targets, matrix, total[:, None] - matrix)
    share = agreeing.mean(axis=1) / np.maximum(total, 1) if len(keys) else np.ones(len(rows))
    return Consensus(keys, rows[clear], targets[clear], share[clear], total[clear], int((~clear).sum()))


def _count_rows(
    rows: list[int], classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct rows (n,), the place of each vote among them, and an empty vote matrix (n, C)."""
    distinct, place = np.unique(np.array(rows, dtype=np.int64), return_inverse=True)
    return distinct, place.astype(np.int64), np.zeros((len(distinct), classes), dtype=np.int64)
