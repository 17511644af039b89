"""A small project with features that a head can learn from, and short words for what happens in it."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.accounts.models import User
from annotator.items.features import FeatureStore, make_store
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling.models import Annotation, QueueEntry
from annotator.learning import tasks, triggers
from annotator.learning.models import Encoding, LearningSettings, Round
from annotator.projects.models import Project
from tests.factories import choice, make_items, make_project

DIM = 8
DIGEST = "d" * 64
assert tasks  # registers the handlers of jobs


def cloud(rows: npt.NDArray[np.int64], classes: int = 2) -> npt.NDArray[np.float32]:
    """Features of rows: class row % classes, a little noise that belongs to the row."""
    features = np.zeros((len(rows), DIM), dtype=np.float32)
    for place, row in enumerate(rows.tolist()):
        noise = np.random.default_rng(row)
        features[place] = noise.normal(0, 0.6, DIM)
        features[place, row % classes] += 1.0
    return features


def truth(item: Item, classes: tuple[str, ...] = ("cat", "dog")) -> str:
    return classes[item.row % len(classes)]


def make_world(count: int = 60, *, learning: dict[str, Any] | None = None, **fields: Any) -> Project:
    """A project with `count` items whose features are in the store."""
    project = make_project(learning={"randomness": 0.0, **(learning or {})}, **fields)
    make_items(project, count)
    encode(project)
    return project


def encode(project: Project, rows: npt.NDArray[np.int64] | None = None) -> FeatureStore:
    """Features for these rows (default: all) as the encode job would leave them."""
    Encoding.objects.get_or_create(
        project=project,
        digest=DIGEST,
        defaults={"encoder": "tfidf", "params": {}, "dim": DIM, "fitted_items": 10**6},
    )
    store = make_store(project.pk, DIGEST, DIM)
    rows = np.arange(project_rows(project)) if rows is None else rows
    if len(rows):
        store.write(rows, cloud(rows, project.schema.classes.count()))
    return store


def project_rows(project: Project) -> int:
    return Project.objects.values_list("next_row", flat=True).get(pk=project.pk)


def answer(
    project: Project,
    user: User,
    item: Item,
    *classes: str,
    exploration: bool = False,
    state: str = "submitted",
) -> Annotation:
    """A valid answer, as the labelling services would store it."""
    return Annotation.objects.create(
        id=uuid.uuid4(),
        project=project,
        item=item,
        annotator=user,
        schema=project.schema,
        regions=choice(*classes),
        served={"exploration": exploration},
        state=state,
    )


def answer_truly(project: Project, user: User, items: list[Item], **options: Any) -> None:
    for item in items:
        answer(project, user, item, truth(item), **options)


def items_of(project: Project) -> list[Item]:
    return list(project.items.order_by("row"))


def run_round(project: Project, trigger: str = "manual") -> Round:
    """Begin a round and do it here and now."""
    round_ = triggers.begin_round(project.pk, trigger=trigger)
    assert round_ is not None
    assert round_.job is not None
    run_job(round_.job.pk)
    round_.refresh_from_db()
    return round_


def run_jobs(project: Project, kind: str) -> list[Job]:
    """Do what waits."""
    jobs = list(Job.objects.filter(project=project, kind=kind, state=Job.State.QUEUED).order_by("pk"))
    for job in jobs:
        run_job(job.pk)
    return jobs


def queue_of(project: Project) -> list[QueueEntry]:
    return list(
        QueueEntry.objects.filter(
            project=project, position__gte=Project.objects.get(pk=project.pk).queue_start
        )
        .select_related("item")
        .order_by("position")
    )


def settings_of(project: Project) -> LearningSettings:
    return LearningSettings.objects.get(project=project)
