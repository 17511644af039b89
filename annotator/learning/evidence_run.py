"""The job that gathers evidence: is the strategy helping, when to stop, what the labels say about the whole pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction

from acquisition.estimates import weighted_mean
from annotator.common.errors import Conflict
from annotator.common.events import send_event
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import JobCancelled, JobRun
from annotator.learning import catalogue, evidence, evidence_enough, triggers
from annotator.learning.evidence_helping import FOLDS, Labels, is_it_helping
from annotator.learning.evidence_stopping import stopping
from annotator.learning.exploration import random_share
from annotator.learning.lab_data import store_of
from annotator.learning.lab_plan import in_use
from annotator.learning.models import Evidence, LearningSettings, ModelVersion
from annotator.projects.models import Project
from annotator.quality.consensus import consensus
from models_zoo.errors import NotEnoughData
from models_zoo.head import DEFAULT_STRENGTH
from models_zoo.metrics import wilson
from models_zoo.tuning import cross_fit, stratified_folds

PATIENCE = 3  # times that it makes room for rounds before it goes through
MOST_CLASSES = 50

# The order in which the queue's items were labelled, and the chance each had; answers that no queue served come last.
SERVED = """
SELECT DISTINCT ON (i.row) i.row, (a.served->>'round')::int, (a.served->>'rank')::int,
       (a.served->>'propensity')::float8, extract(epoch FROM a.created_at)::float8
FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id
WHERE a.project_id = %s AND a.current AND a.state = 'submitted' AND i.archived_at IS NULL AND i.split = 'pool'
ORDER BY i.row, a.created_at
"""


class _MakeRoom(Exception):
    """A round waits for the worker."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """Labels with features, and by label: propensity (n,), NaN where no queue served it; its place in serving order."""

    labels: Labels
    propensity: npt.NDArray[np.float64]
    place: npt.NDArray[np.int64]
    size: int  # items that a queue could serve: those of the pool but for what was labelled otherwise
    pool: int


def run_evidence(run: JobRun) -> dict[str, Any]:
    """Measures and stores; begins again later when a round wants the worker, at most a few times."""
    tries = int(run.job.params.get("tries", 0))

    def on_fit(done: int, total: int) -> None:
        if run.should_stop():
            raise JobCancelled
        run.progress(done, total, stage="Comparing with random")
        if tries < PATIENCE and _round_waits():
            raise _MakeRoom

    project = Project.objects.get(pk=run.job.project_id or 0)
    chosen = LearningSettings.objects.get(project=project)
    run.progress(0, stage="Collecting labels")
    gathered = gather(project, chosen)
    strength = _strength(project)
    seed = chosen.seed % 2**32
    try:
        helping = is_it_helping(gathered.labels, strength=strength, seed=seed, on_fit=on_fit)
    except _MakeRoom:
        evidence.begin(project.pk, by=run.job.created_by, tries=tries + 1)
        return {"made_room": True}
    run.progress(0, stage="Estimates and forecast")
    result = {
        "helping": helping,
        "estimates": estimates(gathered, strength=strength, seed=seed),
        "stopping": stopping(project, seed=seed),
    }
    with transaction.atomic():
        found = Evidence.objects.create(
            project=project,
            job=run.job,
            n_labels=len(gathered.labels.targets),
            n_random=int(gathered.labels.share.sum()),
            strategy=in_use(chosen),
            result=result,
        )
        evidence_enough.follow(project.pk)
        send_event(project.pk, "evidence", id=found.pk)
    return {"evidence": found.pk, "state": helping["state"]}


def gather(project: Project, chosen: LearningSettings) -> Gathered:
    """Agreed labels of the pool with their features and how they were served; Conflict while there are none."""
    agreed = consensus(project, project.schema)
    store = store_of(chosen)
    kept = np.flatnonzero(store.has(agreed.rows))
    if len(kept) < 2:
        raise Conflict("There are no labels yet.", code="no_labels", hint="Label some items first.")
    rows = agreed.rows[kept]
    told = _served_as(project.pk)
    nothing = (None, None, None, np.inf)
    found = [told.get(row, nothing) for row in rows.tolist()]
    propensity = np.array([np.nan if each[2] is None else each[2] for each in found])
    # Restored projects may tell anything.
    propensity[~((propensity > 0) & (propensity <= 1))] = np.nan
    served = np.array([each[0] is not None for each in found])
    when = np.array([each[3] for each in found])
    rank = np.array([[each[0] or 0, each[1] or 0] for each in found])
    labels = Labels(
        features=store.features_of(rows).astype(np.float32),
        targets=agreed.targets[kept],
        share=random_share(project.pk, chosen.seed, rows),
        served=np.flatnonzero(served)[np.argsort(when[served], kind="stable")],
        class_keys=agreed.class_keys,
        multi=catalogue.task_of(project) == "multi",
    )
    pool = Item.objects.pool().filter(project=project).count()
    outside = len(told) - int((~np.isnan(propensity)).sum())
    return Gathered(labels, propensity, np.lexsort((rank[:, 1], rank[:, 0])), max(1, pool - outside), pool)


def estimates(gathered: Gathered, *, strength: float, seed: int) -> dict[str, Any]:
    """Accuracy and class shares three ways: of all labels as they are, of random ones, weighted by propensities."""
    labels = gathered.labels
    right = _cross_fitted(labels, strength=strength, seed=seed)
    columns: list[tuple[str, str, npt.NDArray[Any]]] = []
    if right is not None:
        columns.append(("accuracy", "Accuracy", right))
    for place, key in enumerate(labels.class_keys[:MOST_CLASSES]):
        has = labels.targets[:, place] if labels.multi else labels.targets == place
        columns.append(("class", key, np.asarray(has)))
    ordered = gathered.place[~np.isnan(gathered.propensity[gathered.place])]
    chances = gathered.propensity[ordered]
    rows = []
    effective = 0.0
    for kind, name, values in columns:
        row: dict[str, Any] = {"kind": kind, "name": name, "naive": round(float(np.mean(values)), 5)}
        share = np.asarray(values)[labels.share]
        told = wilson(round(float(share.sum())), len(share))
        row["random"] = {"value": told.value, "low": told.low, "high": told.high}
        row["weighted"] = None
        if len(ordered) and len(ordered) <= gathered.size:
            found = weighted_mean(
                np.asarray(values)[ordered],
                chances,
                gathered.size,
            )
            row["weighted"] = {name: round(getattr(found, name), 5) for name in ("value", "low", "high")}
            effective = found.effective
        rows.append(row)
    return {
        "rows": rows,
        "labels": len(labels.targets),
        "random": int(labels.share.sum()),
        "logged": len(ordered),
        "effective": round(effective, 1),
        "items": gathered.pool,
    }


def _cross_fitted(labels: Labels, *, strength: float, seed: int) -> npt.NDArray[np.float64] | None:
    """Whether (n,) a model that has not seen the label gets it right; None where there is none to fit."""
    rng = np.random.default_rng([seed, 9])
    folds = stratified_folds(labels.targets, FOLDS, rng, multi=labels.multi)
    try:
        scores = cross_fit(
            labels.features, labels.targets, labels.class_keys, folds, multi=labels.multi, strength=strength
        )
    except NotEnoughData:
        return None
    if labels.multi:
        return np.asarray(((scores >= 0) == labels.targets).all(axis=1), dtype=np.float64)
    return np.asarray(scores.argmax(axis=1) == labels.targets, dtype=np.float64)


def _served_as(project_id: int) -> dict[int, tuple[int | None, int | None, float | None, float]]:
    """Row -> round, rank, propensity, when."""
    with connection.cursor() as cursor:
        cursor.execute(SERVED, [project_id])
        return {row: (number, rank, chance, when) for row, number, rank, chance, when in cursor.fetchall()}


def _strength(project: Project) -> float:
    """That of the newest model: chosen on labels outside the random share, and hardly dependent on their number."""
    newest = ModelVersion.objects.filter(project=project).order_by("-number").first()
    return (
        float(newest.settings.get("tuning", {}).get("strength", DEFAULT_STRENGTH))
        if newest
        else DEFAULT_STRENGTH
    )


def _round_waits() -> bool:
    return Job.objects.filter(kind=triggers.ROUND_JOB, state=Job.State.QUEUED).exists()
