"""Labels that are worth another look, found after a round: by confident learning, ActiveLab, and people who got worse.

A job of its own, so that no ranking waits for it. Needs models: runs in workers.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.activelab import MISSING, activelab
from annotator.jobs.services import JobRun
from annotator.labeling.models import Annotation
from annotator.learning.arrays import load_array
from annotator.learning.models import Round
from annotator.learning.out_of_sample import cross_fitted
from annotator.learning.work import Ints, Training, Work
from annotator.projects.models import Project
from annotator.quality.label_errors import suspects
from annotator.quality.models import Check, Report
from annotator.quality.services import replace_checks, settings_of
from annotator.quality.votes import Votes, read_truths, read_votes
from models_zoo.tuning import stratified_folds

FOLDS = 5
MOST = 500  # checks of each kind
OF_DRIFTING = 50  # newest answers of a person in decline
UNLABELLED = 100_000  # rows of the pool that ActiveLab compares with
Found = list[tuple[int, str, float]]


def run_checks(run: JobRun) -> dict[str, Any]:
    """Replace the project's checks by what is found now; says how many of each kind."""
    project = Project.objects.get(pk=run.job.project_id or 0)
    settings = settings_of(project)
    round_ = (
        Round.objects.filter(project=project, published_at__isnull=False, model__isnull=False)
        .select_related("model")
        .order_by("-published_at")
        .first()
    )
    votes = read_votes(project, splits=("pool",))
    full = _rows_with(votes, settings.max_labels) | set(read_truths(project))
    run.progress(0, 3, stage="People in decline")
    parts = {Check.Kind.DRIFT.value: _of_drifting(project, votes)}
    if round_ is not None:
        work = Work(round_, progress=run.progress, should_stop=run.should_stop)
        run.progress(1, 3, stage="Labels that the model contradicts")
        proba, data = _out_of_sample(work)
        if proba is not None:
            parts[Check.Kind.SUSPECT.value] = _suspects(data, proba)
            run.progress(2, 3, stage="New items or another label")
            if not work.multi:
                parts[Check.Kind.RELABEL.value] = _relabels(work, votes, data, proba)
    entries = _dealt(parts, full)
    replace_checks(project_id=project.pk, entries=entries)
    return {"checks": {kind: sum(entry[1] == kind for entry in entries) for kind in Check.Kind.values}}


def _dealt(parts: dict[str, Found], full: set[int]) -> Found:
    """Kinds in turn, each by its own order; a row once; items with enough labels, or a decision, left out."""
    entries: Found = []
    seen = set(full)
    for turn in zip_longest(*(part[: 2 * MOST] for part in parts.values())):
        for entry in turn:
            if entry is not None and entry[0] not in seen:
                seen.add(entry[0])
                entries.append(entry)
    return entries[: 3 * MOST]


def _rows_with(votes: Votes, count: int) -> set[int]:
    rows, voters = np.unique(votes.rows, return_counts=True)
    return set(rows[voters >= count].tolist())


def _out_of_sample(work: Work) -> tuple[npt.NDArray[np.float64] | None, Training]:
    """Probabilities (n, C) of the round's labels, each from a head that never saw it; None where there are too few."""
    data = work.trainable
    if len(data.rows) < 2 * FOLDS:
        return None, data
    rng = np.random.default_rng([work.round.seed, 4])
    head = work.head.state
    if tuple(head.class_keys) != work.class_keys:
        return None, data
    folds = stratified_folds(data.targets, FOLDS, rng, multi=work.multi)
    return cross_fitted(work, folds), data


def _suspects(data: Training, proba: npt.NDArray[np.float64]) -> Found:
    places, scores = suspects(data.targets, proba)
    rows = data.rows[places[:MOST]].tolist()
    return [
        (row, Check.Kind.SUSPECT.value, round(score, 6))
        for row, score in zip(rows, scores[:MOST].tolist(), strict=True)
    ]


def _relabels(work: Work, votes: Votes, data: Training, proba: npt.NDArray[np.float64]) -> Found:
    """Answered items that rank among the next batch when new and answered ones stand in one order.

    Ties are among them: nobody trained on an item without a consensus, and it is what another answer tells most about.
    """
    if votes.class_keys != work.class_keys:
        return []
    judged, known = _judged(work, np.unique(votes.rows), data, proba)
    mine = votes.take(np.isin(votes.rows, judged))
    rows, place = np.unique(mine.rows, return_inverse=True)
    if not len(rows):
        return []
    people, who = np.unique(mine.annotators, return_inverse=True)
    labels = np.full((len(rows), len(people)), MISSING, dtype=np.int64)
    labels[place, who] = mine.labels
    found = activelab(labels, known, _new(work))
    scores, new = found.score, found.unlabelled
    batch = max(1, int(work.settings.get("batch_size", 1)))
    # Without new items all labelled ones compete; else those that come before the last new one of the next batch.
    limit = np.inf if len(new) == 0 else np.partition(new, min(batch, len(new)) - 1)[min(batch, len(new)) - 1]
    order = np.lexsort((rows, scores))
    order = order[scores[order] < limit][:MOST]
    return [(int(rows[n]), Check.Kind.RELABEL.value, round(float(scores[n]), 6)) for n in order.tolist()]


def _judged(
    work: Work, rows: Ints, data: Training, proba: npt.NDArray[np.float64]
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Those of the answered `rows` of which a model that never saw their label says something, and what (k, C).

    For the round's labels that is `proba` (n, C); for others the round's own scores, which learned nothing from them.
    """
    trained = np.isin(rows, data.rows)
    known = np.full((len(rows), proba.shape[1]), np.nan)
    known[trained] = proba[np.searchsorted(data.rows, rows[trained])]
    stored = _scores(work)
    if stored is not None:
        others = ~trained & (rows < len(stored))
        known[others] = stored[rows[others]]
    said = ~np.isnan(known).any(axis=1)
    return rows[said], known[said]


def _scores(work: Work) -> npt.NDArray[Any] | None:
    """The round's probabilities (n_rows, C), NaN where an item has no features."""
    path = work.folder / "proba.npy"
    return load_array(path) if path.exists() else None


def _new(work: Work) -> npt.NDArray[np.float64] | None:
    """Probabilities (m, C) of items without answers, of a large pool those of a random part."""
    stored = _scores(work)
    if stored is None:
        return None
    fresh = work.pool.fresh[work.pool.fresh < len(stored)]
    if len(fresh) > UNLABELLED:
        rng = np.random.default_rng([work.round.seed, 5])
        fresh = np.sort(rng.choice(fresh, UNLABELLED, replace=False))
    pool = np.asarray(stored[fresh], dtype=np.float64)
    return pool[~np.isnan(pool).any(axis=1)]


def _of_drifting(project: Project, votes: Votes) -> Found:
    """The newest answers, alone on their items, of people who got worse."""
    report = Report.objects.filter(project=project).first()
    people = [each["user"] for each in report.data["people"] if each["drift"]["alarm"]] if report else []
    if not people:
        return []
    rows, voters = np.unique(votes.rows, return_counts=True)
    alone = set(rows[voters == 1].tolist())
    found: Found = []
    for person in people:
        newest = (
            Annotation.objects.valid()
            .filter(project=project, annotator_id=person, item__archived_at=None, item__split="pool")
            .order_by("-created_at")
            .values_list("item__row", flat=True)[: 4 * OF_DRIFTING]
        )
        mine = [row for row in newest if row in alone][:OF_DRIFTING]
        found += [(row, Check.Kind.DRIFT.value, place / OF_DRIFTING) for place, row in enumerate(mine)]
    return found
