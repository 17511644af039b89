"""What people agree on: the answer taken as true for each item that somebody answered or that a reviewer decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.projects.models import LabelSchema, Project
from annotator.quality.models import QualitySettings
from annotator.quality.votes import SPLITS, Ints, Reader, Votes, read_truths, read_votes

Floats = npt.NDArray[np.float64]
MAJORITY = QualitySettings.Method.MAJORITY.value
TIE = 1e-9  # posteriors closer than this say nothing


@dataclass(frozen=True, eq=False)
class Consensus:
    """Items with an agreed answer, by row.

    rows (n,) ascending; targets: class indices (n,), or booleans (n, C) where any number of classes may be chosen;
    agreement (n,): share of the votes that say so; votes (n,); confidence (n,): how sure the method is, in 0..1;
    settled (n,): a reviewer's decision or gold, whatever the votes. `undecided`: items without a majority.
    """

    class_keys: tuple[str, ...]
    rows: Ints
    targets: npt.NDArray[Any]
    agreement: Floats
    votes: Ints
    undecided: int
    confidence: Floats
    settled: npt.NDArray[np.bool_]

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
    project: Project,
    schema: LabelSchema | None = None,
    *,
    splits: tuple[str, ...] = SPLITS,
    method: str | None = None,
) -> Consensus:
    """The label of each item by `method` (default: the project's), read in terms of `schema` (default: the one in force).

    Merged classes count as their heirs, answers of retired classes without heir do not vote; a tie is no consensus.
    Decisions of reviewers and gold are taken as they are. Archived items are left out, and so is every split that is not
    named. Methods other than the majority take seconds for ten thousands of answers: ask for them in workers.
    """
    schema = schema or project.schema
    votes = read_votes(project, schema, splits=splits)
    truths = read_truths(project, schema, splits=splits)
    return settle(judge(votes, method or method_of(project), truths), truths)


def method_of(project: Project) -> str:
    """How the project's answers become labels."""
    chosen = QualitySettings.objects.filter(project=project).values_list("method", flat=True).first()
    return chosen or MAJORITY


def answers_reader(
    project: Project, schema: LabelSchema
) -> Callable[[Iterable[tuple[int, Sequence[str]]]], Consensus]:
    """The rule of `consensus` for any (row, chosen class keys), lowest row first; asks the database only now.

    The majority judges what it is given. Other methods need everybody's answers to judge anybody's: they look the rows up
    among all of the project's, as they are at the first call.
    """
    reader = Reader(project, schema)
    every = tuple(project.items.model.Split.values)
    truths = read_truths(project, schema, splits=every)
    method = method_of(project)
    known: list[Consensus] = []

    def read(answers: Iterable[tuple[int, Sequence[str]]]) -> Consensus:
        votes = reader.votes((row, 0, names) for row, names in answers)
        mine = {row: truths[row] for row in np.unique(votes.rows).tolist() if row in truths}
        if method == MAJORITY:
            return settle(judge(votes, MAJORITY, mine), mine)
        if not known:
            known.append(consensus(project, schema, splits=every, method=method))
        return _only(known[0], np.isin(known[0].rows, votes.rows))

    return read


def judge(votes: Votes, method: str, truths: Mapping[int, Sequence[int]] | None = None) -> Consensus:
    """What the votes say by a method; known truths teach it who is right and are not put in place here."""
    if method == MAJORITY:
        return _multi(votes) if votes.multi else _single(votes)
    shares, proba = posterior(votes, method, truths)
    return (_multi_posterior if votes.multi else _single_posterior)(votes, shares, proba)


def posterior(
    votes: Votes, method: str, truths: Mapping[int, Sequence[int]] | None = None
) -> tuple[Ints, Floats]:
    """Rows (n,) and probabilities (n, C) of each class: of being the one, or, of several, of being among them."""
    if method == MAJORITY:
        rows, _, matrix, total = counts(votes)
        return rows, matrix / np.maximum(total[:, None], 1)
    crowd = import_module("annotator.quality.crowd")  # pandas: workers only
    classes = len(votes.class_keys)
    if not votes.multi:
        known = {row: columns[0] for row, columns in (truths or {}).items() if columns}
        found = crowd.posterior(
            votes.rows, votes.annotators, votes.labels, n_classes=classes, method=method, truth=known
        )
        return found.tasks, found.proba
    rows = np.unique(votes.rows)
    proba = np.zeros((len(rows), classes))
    for column in range(classes):
        known = {row: int(column in columns) for row, columns in (truths or {}).items()}
        found = crowd.posterior(
            votes.rows,
            votes.annotators,
            votes.labels[:, column].astype(np.int64),
            n_classes=2,
            method=method,
            truth=known,
        )
        proba[:, column] = found.proba[:, 1]
    return rows, proba


def counts(votes: Votes) -> tuple[Ints, Ints, npt.NDArray[np.int64], Ints]:
    """Distinct rows (n,), the place of each vote among them, votes for each class (n, C), voters (n,)."""
    rows, place = np.unique(votes.rows, return_inverse=True)
    matrix = np.zeros((len(rows), len(votes.class_keys)), dtype=np.int64)
    if votes.multi:
        np.add.at(matrix, place, votes.labels)
    else:
        np.add.at(matrix, (place, votes.labels), 1)
    total = np.bincount(place, minlength=len(rows)) if len(place) else np.zeros(0, dtype=np.int64)
    return rows, place.astype(np.int64), matrix, total


def settle(found: Consensus, truths: Mapping[int, Sequence[int]]) -> Consensus:
    """Decisions and gold in place of what the votes say, also where they say nothing."""
    if not truths:
        return found
    fixed = np.array(sorted(truths), dtype=np.int64)
    wide = found.targets.ndim == 2
    if wide:
        targets = np.zeros((len(fixed), len(found.class_keys)), dtype=bool)
        for place, row in enumerate(fixed.tolist()):
            targets[place, list(truths[row])] = True
    else:
        targets = np.array([truths[row][0] for row in fixed.tolist()], dtype=np.int64)
    kept = ~np.isin(found.rows, fixed)
    where = np.searchsorted(found.rows, fixed)
    voted = np.zeros(len(fixed), dtype=np.int64)
    inside = where < len(found.rows)
    inside[inside] = found.rows[where[inside]] == fixed[inside]
    voted[inside] = found.votes[where[inside]]
    rows = np.concatenate([found.rows[kept], fixed])
    order = np.argsort(rows)
    ones = np.ones(len(fixed))
    return Consensus(
        found.class_keys,
        rows[order],
        np.concatenate([found.targets[kept], targets])[order],
        np.concatenate([found.agreement[kept], ones])[order],
        np.concatenate([found.votes[kept], voted])[order],
        found.undecided,
        np.concatenate([found.confidence[kept], ones])[order],
        np.concatenate([found.settled[kept], ones.astype(bool)])[order],
    )


def _only(found: Consensus, mask: npt.NDArray[np.bool_]) -> Consensus:
    return Consensus(
        found.class_keys,
        found.rows[mask],
        found.targets[mask],
        found.agreement[mask],
        found.votes[mask],
        found.undecided,
        found.confidence[mask],
        found.settled[mask],
    )


def _made(
    votes: Votes,
    rows: Ints,
    targets: npt.NDArray[Any],
    agreement: Floats,
    total: Ints,
    confidence: Floats,
    clear: npt.NDArray[np.bool_],
) -> Consensus:
    settled = np.zeros(int(clear.sum()), dtype=bool)
    undecided = int((~clear).sum())
    return Consensus(
        votes.class_keys,
        rows[clear],
        targets[clear],
        agreement[clear],
        total[clear],
        undecided,
        confidence[clear],
        settled,
    )


def _single(votes: Votes) -> Consensus:
    rows, _, matrix, total = counts(votes)
    best = matrix.max(axis=1, initial=0)
    known = bool(votes.class_keys)
    clear = (matrix == best[:, None]).sum(axis=1) == 1 if known else np.zeros(len(rows), dtype=bool)
    targets = matrix.argmax(axis=1) if known else np.zeros(len(rows), dtype=np.int64)
    share = best / np.maximum(total, 1)
    return _made(votes, rows, targets.astype(np.int64), share, total, share, clear)


def _multi(votes: Votes) -> Consensus:
    rows, _, matrix, total = counts(votes)
    doubled = 2 * matrix
    clear = ~(doubled == total[:, None]).any(axis=1)
    targets = doubled > total[:, None]
    share = _agreeing(matrix, targets, total)
    return _made(votes, rows, targets, share, total, share, clear)


def _single_posterior(votes: Votes, rows: Ints, proba: Floats) -> Consensus:
    _, _, matrix, total = counts(votes)
    if not proba.shape[1]:
        return _single(votes)
    targets = proba.argmax(axis=1)
    best = np.take_along_axis(proba, targets[:, None], axis=1)[:, 0]
    clear = np.asarray((proba >= best[:, None] - TIE).sum(axis=1) == 1)
    share = np.take_along_axis(matrix, targets[:, None], axis=1)[:, 0] / np.maximum(total, 1)
    return _made(votes, rows, targets.astype(np.int64), share, total, best, clear)


def _multi_posterior(votes: Votes, rows: Ints, proba: Floats) -> Consensus:
    _, _, matrix, total = counts(votes)
    clear = np.asarray(~(np.abs(proba - 0.5) < TIE).any(axis=1))
    targets = proba > 0.5
    sure = np.where(targets, proba, 1 - proba).mean(axis=1) if proba.shape[1] else np.ones(len(rows))
    return _made(votes, rows, targets, _agreeing(matrix, targets, total), total, sure, clear)


def _agreeing(matrix: npt.NDArray[np.int64], targets: npt.NDArray[np.bool_], total: Ints) -> Floats:
    """Share of the votes that agree with the targets, averaged over classes."""
    if not matrix.shape[1]:
        return np.ones(len(total))
    agreeing = np.where(targets, matrix, total[:, None] - matrix)
    return np.asarray(agreeing.mean(axis=1) / np.maximum(total, 1))
