"""Step 3: how good the model is, on the random share only, each label judged by heads that never saw it."""

from __future__ import annotations

from typing import Any

import numpy as np

from annotator.learning.models import ModelVersion
from annotator.learning.work import Work
from models_zoo.errors import NotEnoughData
from models_zoo.head import HeadState
from models_zoo.metrics import evaluate as measure
from models_zoo.tuning import cross_fit, stratified_folds

FOLDS = 5
ENOUGH = 10  # below so many random labels an accuracy says nothing


def evaluate(work: Work) -> None:
    """Accuracy, macro-F1 and calibration error with n -> ModelVersion.metrics."""
    model = work.round.model
    # A model that an earlier round made keeps what was measured then.
    if model is None or model.number != work.round.number:
        return
    model.metrics = _metrics(work)
    ModelVersion.objects.filter(pk=model.pk).update(metrics=model.metrics)


def _metrics(work: Work) -> dict[str, Any]:
    data = work.trainable
    share = np.flatnonzero(data.share)
    record: dict[str, Any] = {"n": len(share), "n_labels": len(data.rows), "needed": ENOUGH}
    if len(share) < ENOUGH:
        return record | {"state": "few"}
    rng = np.random.default_rng([work.round.seed, 3])
    folds = np.full(len(data.rows), -1, dtype=np.int64)
    folds[share] = stratified_folds(data.targets[share], FOLDS, rng, multi=work.multi)
    head = work.head.state
    try:
        logits = cross_fit(
            work.trainable_features,
            data.targets,
            work.class_keys,
            folds,
            multi=work.multi,
            strength=head.strength,
            init=head,
        )
    except NotEnoughData:
        return record | {"state": "few"}
    proba = _probabilities(logits[share], head)
    found = measure(proba, data.targets[share], work.class_keys, multi=work.multi, seed=work.round.number)
    return record | {"state": "measured"} | found.as_json()


def _probabilities(logits: Any, head: HeadState) -> Any:
    scaled = logits.astype(np.float64) / head.temperature
    if head.multi:
        return 1 / (1 + np.exp(-scaled))
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    return weights / weights.sum(axis=1, keepdims=True)
