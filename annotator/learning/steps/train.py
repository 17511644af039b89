"""Step 2: fit the head on cached features, or stay in the cold start."""

from __future__ import annotations

from typing import Any

import numpy as np

from annotator.learning.folders import weights_path
from annotator.learning.models import ModelVersion
from annotator.learning.work import Training, Work
from models_zoo.checkpoints import load_head, save_head
from models_zoo.errors import CheckpointError
from models_zoo.head import HeadState, fit_head
from models_zoo.tuning import retune


def train(work: Work) -> None:
    """A ModelVersion for this round, or none while there are not two classes with features to tell apart."""
    if number := work.settings.get("use_model"):
        work.round.model = ModelVersion.objects.get(project=work.project, number=number)
        return
    if work.store is None or not can_train(work.trainable, multi=work.multi):
        work.round.model = None
        return
    previous = _previous(work)
    if previous is not None and _same(previous, work):
        work.round.model = previous
        return
    work.round.model = _fit(work, previous)


def can_train(training: Training, *, multi: bool) -> bool:
    """Two classes seen; for multi-label, one class both present and absent."""
    if not len(training.rows):
        return False
    if multi:
        return bool((training.targets.any(axis=0) & ~training.targets.all(axis=0)).any())
    return len(np.unique(training.targets)) >= 2


def _previous(work: Work) -> ModelVersion | None:
    """The latest model on the same features: where the fit starts, and when it was tuned."""
    return (
        ModelVersion.objects.filter(
            project=work.project,
            encoder_digest=work.settings["encoder_digest"],
            number__lt=work.round.number,
            weights_removed=False,
        )
        .order_by("-number")
        .first()
    )


def _same(previous: ModelVersion, work: Work) -> bool:
    """Whether training again would make the same model."""
    return (
        previous.training_digest == work.round.training_digest
        and previous.class_keys == list(work.class_keys)
        and previous.n_labels == len(work.trainable.rows)
        and weights_path(work.project.pk, previous.number).exists()
    )


def _fit(work: Work, previous: ModelVersion | None) -> ModelVersion:
    tuning = _tuning(work, previous)
    state = fit_head(
        work.trainable_features,
        work.trainable.targets,
        work.class_keys,
        multi=work.multi,
        strength=tuning["strength"],
        temperature=tuning["temperature"],
        init=_start(work, previous),
    )
    digest = save_head(
        weights_path(work.project.pk, work.round.number),
        state,
        encoder={
            "key": work.settings["encoder"],
            "params": work.settings["encoder_params"],
            "digest": work.settings["encoder_digest"],
        },
        metadata={
            "training_digest": work.round.training_digest,
            "schema_version": work.settings["schema_version"],
        },
    )
    version, _ = ModelVersion.objects.update_or_create(
        project=work.project,
        number=work.round.number,
        defaults={
            "digest": digest,
            "encoder": work.settings["encoder"],
            "encoder_digest": work.settings["encoder_digest"],
            "schema_id": work.settings["schema"],
            "settings": {
                "encoder_params": work.settings["encoder_params"],
                "tuning": tuning,
                "iterations": state.iterations,
                "converged": state.converged,
            },
            "training_digest": work.round.training_digest,
            "n_labels": len(work.trainable.rows),
            "class_keys": list(work.class_keys),
        },
    )
    return version


def _tuning(work: Work, previous: ModelVersion | None) -> dict[str, Any]:
    """Strength and temperature: the last ones, or new ones from labels outside the random share."""
    found = retune(
        previous.settings["tuning"] if previous else None,
        work.trainable_features,
        work.trainable.targets,
        work.class_keys,
        multi=work.multi,
        share=work.trainable.share,
        seed=work.round.seed % 2**32,
    )
    # A record that was kept says in which round it was made.
    return {"round": work.round.number} | found


def _start(work: Work, previous: ModelVersion | None) -> HeadState | None:
    """The previous head; a damaged or pruned file only costs time."""
    if previous is None:
        return None
    try:
        return load_head(weights_path(work.project.pk, previous.number)).state
    except CheckpointError:
        return None
