"""Answers as arrays: who chose what for which item, in terms of today's classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from annotator.projects.models import LabelSchema, Project

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SPLITS = ("pool", "gold")

# One line per valid answer of an item that may be trained on, lowest row first.
VOTES = """
SELECT i.row, a.annotator_id, a.regions->0->'classes'{more}
FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' AND i.archived_at IS NULL AND i.split = ANY(%s)
ORDER BY i.row, a.annotator_id
"""
CLOCK = ", extract(epoch FROM a.created_at)::float8, coalesce(a.seconds, 'nan'::float8)"
# Gold counts before a decision: it was chosen to be right.
TRUTHS = """
SELECT i.row, d.classes FROM quality_decision d JOIN items_item i ON i.id = d.item_id
WHERE d.project_id = %(project)s AND i.archived_at IS NULL AND i.split = ANY(%(splits)s)
UNION ALL
SELECT i.row, g.classes FROM quality_golditem g JOIN items_item i ON i.id = g.item_id
WHERE g.project_id = %(project)s AND i.archived_at IS NULL AND i.split = ANY(%(splits)s)
"""


@dataclass(frozen=True, eq=False)
class Votes:
    """v votes: rows, annotators (v,) ids; labels (v,) class indices, or (v, C) booleans where any number may be chosen.

    `at` (v,) seconds since the epoch and `seconds` (v,) spent, NaN where unknown, if they were asked for.
    """

    class_keys: tuple[str, ...]
    rows: Ints
    annotators: Ints
    labels: npt.NDArray[Any]
    at: Floats | None = None
    seconds: Floats | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def multi(self) -> bool:
        return self.labels.ndim == 2

    def take(self, chosen: npt.NDArray[Any]) -> Votes:
        """The votes at these positions, or where a mask says so."""
        return Votes(
            self.class_keys,
            self.rows[chosen],
            self.annotators[chosen],
            self.labels[chosen],
            None if self.at is None else self.at[chosen],
            None if self.seconds is None else self.seconds[chosen],
        )


class Reader:
    """Class keys of any schema version -> indices of today's classes, None for what was retired without heir."""

    def __init__(self, project: Project, schema: LabelSchema) -> None:
        self.multi = project.task == Project.Task.MULTI
        self.keys = tuple(label.key for label in schema.active_classes())
        index = {key: n for n, key in enumerate(self.keys)}
        self._columns = {old: index.get(new) if new else None for old, new in schema.resolve().items()}

    def columns(self, names: Sequence[str]) -> list[int] | None:
        """Chosen classes; None where nothing of the answer says anything about today's classes."""
        chosen = [self._columns.get(key) for key in names]
        valid = [column for column in chosen if column is not None]
        if self.multi:
            return valid if valid or not chosen else None
        return valid[:1] if chosen[:1] and chosen[0] is not None else None

    def labels(self, chosen: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
        """(v,) class indices or (v, C) booleans."""
        if not self.multi:
            return np.array([each[0] for each in chosen], dtype=np.int64)
        labels = np.zeros((len(chosen), len(self.keys)), dtype=bool)
        for place, each in enumerate(chosen):
            labels[place, list(each)] = True
        return labels

    def votes(self, answers: Iterable[tuple[int, int, Sequence[str]]]) -> Votes:
        """Of (row, annotator, chosen class keys)."""
        return self._votes(answers, clock=False)

    def _votes(self, answers: Iterable[tuple[Any, ...]], *, clock: bool) -> Votes:
        valid = [(line, columns) for line in answers if (columns := self.columns(line[2])) is not None]
        lines = [line for line, _ in valid]
        return Votes(
            self.keys,
            np.array([line[0] for line in lines], dtype=np.int64),
            np.array([line[1] for line in lines], dtype=np.int64),
            self.labels([columns for _, columns in valid]),
            np.array([line[3] for line in lines], dtype=np.float64) if clock else None,
            np.array([line[4] for line in lines], dtype=np.float64) if clock else None,
        )


def read_votes(
    project: Project,
    schema: LabelSchema | None = None,
    *,
    splits: tuple[str, ...] = SPLITS,
    clock: bool = False,
) -> Votes:
    """Every valid answer, by row and annotator; `clock` asks for times as well."""
    reader = Reader(project, schema or project.schema)
    with connection.cursor() as cursor:
        cursor.execute(VOTES.format(more=CLOCK if clock else ""), [project.pk, list(splits)])
        lines = ((row, person, _json(names) or [], *more) for row, person, names, *more in cursor.fetchall())
        return reader._votes(lines, clock=clock)


def read_truths(
    project: Project, schema: LabelSchema | None = None, *, splits: tuple[str, ...] = SPLITS
) -> dict[int, list[int]]:
    """Row -> class indices that a reviewer decided or that are gold; those of retired classes are left out."""
    reader = Reader(project, schema or project.schema)
    with connection.cursor() as cursor:
        cursor.execute(TRUTHS, {"project": project.pk, "splits": list(splits)})
        found = {row: reader.columns(_json(names)) for row, names in cursor.fetchall()}
    return {row: columns for row, columns in found.items() if columns is not None}


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
