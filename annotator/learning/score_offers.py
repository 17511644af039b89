"""The job that scores offered texts with the project's model and decides about them, in the order of their arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.common.errors import AnnotatorError
from annotator.jobs.services import JobRun
from annotator.learning import catalogue, offers
from annotator.learning.classes import to_classes
from annotator.learning.folders import encoder_path, weights_path
from annotator.learning.models import Encoding, ModelVersion, Offer
from annotator.learning.offers import Score
from annotator.learning.selectors import model_in_use
from annotator.projects.models import Project
from models_zoo import registry
from models_zoo.checkpoints import load_head
from models_zoo.encoding import Encoder, FittedEncoder
from models_zoo.errors import ModelError
from models_zoo.head import HeadState

PART = 256


@dataclass(frozen=True)
class Scorer:
    """The model in use with its encoder, and the classes of today."""

    encoder: Encoder
    head: HeadState
    class_keys: tuple[str, ...]
    resolve: dict[str, str | None]
    multi: bool

    def __call__(self, texts: list[str]) -> list[Score | None]:
        """The best guess of each text, None where it cannot be read."""
        features = self.encoder.encode(texts, on_error=lambda error: None)
        found: list[Score | None] = [None] * len(texts)
        readable = np.flatnonzero(np.isfinite(features).all(axis=1))
        if not len(readable):
            return found
        # Features lose precision on the way to the store, from which the model learned: the same here.
        stored = features[readable].astype(np.float16)
        proba = to_classes(
            self.head.predict_proba(stored),
            self.head.class_keys,
            self.resolve,
            self.class_keys,
            multi=self.multi,
        )
        for place, row in zip(readable.tolist(), proba, strict=True):
            found[place] = _best(row, self.class_keys, multi=self.multi)
        return found


def score_offers(run: JobRun) -> dict[str, Any]:
    """Score and decide until nothing waits; what cannot be read is passed over as failed. Safe to run again."""
    project = Project.objects.get(pk=run.job.project_id or 0)
    try:
        scorer = _scorer(project)
    except ModelError as error:
        raise AnnotatorError(str(error), code=error.code, status=500) from error
    offers.judge_labels(project.pk)
    done = 0
    while part := list(
        Offer.objects.filter(project=project, state=Offer.State.PENDING).order_by("pk")[:PART]
    ):
        run.progress(done, stage="Scoring offered items")
        scores = scorer([offer.text or "" for offer in part]) if scorer else [None] * len(part)
        for offer, score in zip(part, scores, strict=True):
            _decide(offer.pk, score, failed=scorer is not None and score is None)
        done += len(part)
    return {"decided": done, "model": scorer is not None}


def _decide(pk: int, score: Score | None, *, failed: bool) -> None:
    """One item, one transaction: the state moves between items, and another process may be deciding as well."""
    project_id = Offer.objects.values_list("project_id", flat=True).get(pk=pk)
    with offers.locked(project_id) as stream:
        offer = Offer.objects.select_for_update().get(pk=pk)
        if offer.state != Offer.State.PENDING:
            return
        if failed:
            offer.state, offer.text, offer.why = Offer.State.FAILED, None, "unreadable"
            offer.save()
            return
        offers.decide(stream, offer, score)


def _scorer(project: Project) -> Scorer | None:
    """None while there is no model: chance decides then."""
    model = model_in_use(project.pk)
    if model is None:
        return None
    schema = project.schema
    return Scorer(
        _encoder(project, model),
        load_head(weights_path(project.pk, model.number)).state,
        tuple(label.key for label in schema.active_classes()),
        schema.resolve(),
        project.task == Project.Task.MULTI,
    )


def _encoder(project: Project, model: ModelVersion) -> Encoder:
    """The encoder that the model was trained on, with what it learned."""
    spec = registry.get(model.encoder)
    encoding = Encoding.objects.get(project=project, digest=model.encoder_digest)
    encoder = spec.build(catalogue.located(spec, encoding.params))
    if isinstance(encoder, FittedEncoder) and spec.needs_fit != "no":
        encoder.load(encoder_path(project.pk, encoding.digest))
    return encoder


def _best(row: npt.NDArray[np.float32], keys: tuple[str, ...], *, multi: bool) -> Score:
    best = int(row.argmax())
    sure = float(np.maximum(row, 1 - row).mean()) if multi else float(row[best])
    predicted = offers.guess_of_many(keys[best], float(row[best])) if multi else keys[best]
    return Score(confidence=min(1.0, sure), predicted=predicted)
