"""Step 3: how good the model is, on the random share only, each label judged by heads that never saw it."""

from __future__ import annotations

from typing import Any

import numpy as np

from annotator.learning.models import ModelVersion
from annotator.learning.out_of_sample import cross_fitted
from annotator.learning.work import Work
from models_zoo.metrics import evaluate as measure
from models_zoo.tuning import stratified_folds

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
    proba = cross_fitted(work, folds)
    if proba is None:
        return record | {"state": "few"}
    found = measure(
        proba[share], data.targets[share], work.class_keys, multi=work.multi, seed=work.round.number
    )
    return record | {"state": "measured"} | found.as_json()
