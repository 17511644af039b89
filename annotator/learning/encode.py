"""The job that computes features: builds the chosen encoder, teaches it if it learns, and fills the feature store."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from annotator.common.errors import AnnotatorError
from annotator.items import files
from annotator.items.features import encode_missing, make_store, remove_store
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import JobCancelled, JobRun
from annotator.learning import catalogue, triggers
from annotator.learning.arrays import fetch_columns
from annotator.learning.encodings import current_encoding
from annotator.learning.exploration import random_share
from annotator.learning.folders import encoder_path, used_digests
from annotator.learning.models import Encoding, LearningSettings
from annotator.projects.models import Project
from annotator.quality.consensus import consensus
from models_zoo import registry
from models_zoo.encoding import Encoder, FittedEncoder
from models_zoo.errors import Cancelled, ModelError, SampleError
from models_zoo.registry import EncoderSpec

GROWTH = 2.0  # an encoder that learns does so again when there is so many times the data
LEAST_TEXTS, LEAST_LABELS = 2, 20
YIELD_SECONDS = 5.0  # others wait in the queue: so long a job goes on before it makes room

LIVE = "SELECT row FROM items_item WHERE project_id = %s AND archived_at IS NULL"
LABELLED = """
SELECT row FROM items_item i WHERE project_id = %s AND archived_at IS NULL
  AND EXISTS (SELECT 1 FROM labeling_annotation a WHERE a.item_id = i.id)
"""


def run_encoding(run: JobRun) -> dict[str, Any]:
    """Features for every live item that has none. Resumes where it stopped; makes room for rounds that wait."""
    project = Project.objects.get(pk=run.job.project_id or 0)
    chosen = LearningSettings.objects.get(project=project)
    try:
        spec = registry.get(chosen.encoder)
        encoder, encoding = _prepare(run, project, chosen, spec)
    except Cancelled as error:
        raise JobCancelled from error
    except ModelError as error:
        hint = getattr(error, "hint", "")
        raise AnnotatorError(str(error), code=error.code, status=500, hint=hint) from error
    if encoder is None or encoding is None:
        return {"waiting": "labels" if spec.needs_fit == "labels" else "items"}
    return _fill(run, project, encoder, encoding)


def _prepare(
    run: JobRun, project: Project, chosen: LearningSettings, spec: EncoderSpec
) -> tuple[Encoder | None, Encoding | None]:
    run.progress(0, stage="Loading the encoder")
    encoder = spec.build(catalogue.located(spec, chosen.encoder_params))
    unfinished = _newest(chosen, ready=False)
    current = current_encoding(chosen)
    if spec.needs_fit == "no":
        return encoder, _record(chosen, encoder, ready=True)
    assert isinstance(encoder, FittedEncoder)
    for known in (unfinished, current):
        if known is not None and not (known is current and _outgrown(project, chosen, spec, known)):
            encoder.load(encoder_path(project.pk, known.digest))
            return encoder, known
    return _fit(run, project, chosen, spec, encoder, ready=current is None)


def _newest(chosen: LearningSettings, *, ready: bool) -> Encoding | None:
    return (
        Encoding.objects.filter(
            project_id=chosen.project_id, encoder=chosen.encoder, params=chosen.encoder_params, ready=ready
        )
        .order_by("-pk")
        .first()
    )


def _outgrown(project: Project, chosen: LearningSettings, spec: EncoderSpec, known: Encoding) -> bool:
    if spec.needs_fit == "labels":
        return len(_teaching(project, chosen)[0]) >= GROWTH * max(known.fitted_labels, LEAST_LABELS)
    return Item.objects.live().filter(project=project).count() >= GROWTH * known.fitted_items


def outgrown(chosen: LearningSettings) -> bool:
    """Whether the encoder that the project uses should learn again (or for the first time)."""
    try:
        spec = registry.get(chosen.encoder)
    except ModelError:
        return False  # a plug-in that is gone: the encode job says so
    if spec.needs_fit == "no":
        return False
    known = current_encoding(chosen)
    if known is None:
        return spec.needs_fit == "samples" or len(_teaching(chosen.project, chosen)[0]) >= LEAST_LABELS
    return _outgrown(chosen.project, chosen, spec, known)


def _teaching(project: Project, chosen: LearningSettings) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Labels that an encoder may learn from: those on which no model is judged."""
    agreed = consensus(project)
    outside = ~random_share(project.pk, chosen.seed, agreed.rows)
    return agreed.rows[outside], agreed.targets[outside]


def _fit(
    run: JobRun,
    project: Project,
    chosen: LearningSettings,
    spec: EncoderSpec,
    encoder: FittedEncoder,
    *,
    ready: bool,
) -> tuple[Encoder | None, Encoding | None]:
    targets: npt.NDArray[Any] | None = None
    if spec.needs_fit == "labels":
        rows, targets = _teaching(project, chosen)
        least = LEAST_LABELS
    else:
        (rows,) = (np.sort(found) for found in fetch_columns(LIVE, [project.pk], {"row": "i4"}))
        least = LEAST_TEXTS
    if len(rows) < least:
        return None, None
    encoder.fit(
        samples_of(project, rows),
        targets,
        progress=lambda done, total: run.progress(done, total, stage="Teaching the encoder"),
        should_stop=run.should_stop,
    )
    path = encoder_path(project.pk, encoder.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder.save(path)
    labels = len(rows) if spec.needs_fit == "labels" else 0
    items = 0 if spec.needs_fit == "labels" else len(rows)
    return encoder, _record(chosen, encoder, ready=ready, fitted_items=items, fitted_labels=labels)


def _record(chosen: LearningSettings, encoder: Encoder, *, ready: bool, **fitted: int) -> Encoding:
    encoding, _ = Encoding.objects.get_or_create(
        project_id=chosen.project_id,
        digest=encoder.digest,
        defaults={
            "encoder": chosen.encoder,
            "params": chosen.encoder_params,
            "dim": encoder.dim,
            "ready": ready,
            **fitted,
        },
    )
    return encoding


def _fill(run: JobRun, project: Project, encoder: Encoder, encoding: Encoding) -> dict[str, Any]:
    store = make_store(project.pk, encoding.digest, encoding.dim)
    rows = _labelled_first(project.pk)
    began = time.monotonic()

    def make_room() -> bool:
        return time.monotonic() - began > YIELD_SECONDS and others_wait(run.job)

    found = encode_missing(
        store,
        rows,
        lambda part: _encode(encoder, samples_of(project, part)),
        progress=lambda done, total: run.progress(done, total, stage="Encoding items"),
        should_stop=lambda: run.should_stop() or make_room(),
    )
    if run.should_stop():
        raise JobCancelled
    if found.complete:
        _finish(project.pk, encoding)
    else:
        triggers.start_encoding(project.pk, by=run.job.created_by)
    if found.done:
        triggers.mark_changed(project.pk)
    triggers.start_round_if_due(project.pk, "items")
    return {"encoded": found.done, "unreadable": found.unreadable, "complete": found.complete}


def _labelled_first(project_id: int) -> npt.NDArray[np.int64]:
    """Live rows: those with answers first, since models wait for them."""
    (rows,) = fetch_columns(LIVE, [project_id], {"row": "i4"})
    (labelled,) = fetch_columns(LABELLED, [project_id], {"row": "i4"})
    return np.concatenate([np.sort(labelled), np.setdiff1d(rows, labelled, assume_unique=True)])


def _finish(project_id: int, encoding: Encoding) -> None:
    """The features are complete: they are current from now on, and those that nobody needs are removed."""
    if not encoding.ready:
        Encoding.objects.filter(pk=encoding.pk).update(ready=True)
        triggers.mark_changed(project_id)
    used = used_digests(project_id)
    for old in Encoding.objects.filter(project_id=project_id).exclude(digest__in=used):
        remove_store(project_id, old.digest)
        encoder_path(project_id, old.digest).unlink(missing_ok=True)
        old.delete()


def others_wait(job: Job, kinds: Collection[str] = ()) -> bool:
    """Whether another job, of one of these `kinds` or of any, wants the worker."""
    waiting = Job.objects.filter(queue=job.queue, state=Job.State.QUEUED).exclude(pk=job.pk)
    return (waiting.filter(kind__in=kinds) if kinds else waiting).exists()


def _encode(encoder: Encoder, samples: list[Any]) -> npt.NDArray[Any]:
    unreadable: Callable[[SampleError], None] = lambda error: None  # noqa: E731 - its row stays NaN
    return encoder.encode(samples, on_error=unreadable)


def samples_of(project: Project, rows: npt.NDArray[np.int64]) -> list[Any]:
    """What an encoder reads, in the order of `rows`: texts, or paths of files."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT i.row, i.text, a.digest, a.size, a.location
               FROM items_item i LEFT JOIN items_asset a ON a.id = i.asset_id
               WHERE i.project_id = %s AND i.row = ANY(%s)""",
            [project.pk, rows.tolist()],
        )
        told = cursor.fetchall()
    paths = files.readable(project.pk, {digest: (size, at) for _, _, digest, size, at in told if digest})
    found = {row: text if digest is None else paths[digest] for row, text, digest, _, _ in told}
    return [found[row] for row in rows.tolist()]
