"""Step 1: write down the labels and the settings that this round works with."""

from __future__ import annotations

from django.utils import timezone

from annotator.learning.arrays import save_arrays
from annotator.learning.choosing import settings_json
from annotator.learning.encodings import current_encoding
from annotator.learning.exploration import random_share
from annotator.learning.models import LearningSettings, ModelVersion
from annotator.learning.work import Work
from annotator.projects.models import Project
from annotator.quality.consensus import consensus, method_of


def freeze(work: Work) -> None:
    """Consensus -> training.npz with its digest; settings, schema and encoding -> the round."""
    # Before reading: an answer that arrives meanwhile counts as new rather than as seen.
    work.round.frozen_at = timezone.now()
    project = Project.objects.get(pk=work.round.project_id)
    chosen = LearningSettings.objects.get(project=project)
    schema = project.schema
    method = method_of(project)
    agreed = consensus(project, schema, method=method)
    share = random_share(project.pk, chosen.seed, agreed.rows)
    save_arrays(work.folder / "training.npz", rows=agreed.rows, targets=agreed.targets, share=share)
    work.round.n_rows = project.next_row
    work.round.revision = chosen.revision
    work.round.n_labels = len(agreed)
    work.round.training_digest = agreed.digest()
    use_model = work.round.settings.get("use_model")
    work.round.settings = {
        "schema": schema.pk,
        "schema_version": schema.version,
        "class_keys": list(agreed.class_keys),
        "undecided": agreed.undecided,
        "consensus": method,
        "overlap": project.overlap,
        "overlap_share": project.overlap_share,
        **settings_json(chosen),
        "encoder_digest": _encoder_digest(chosen, use_model),
        **({"use_model": use_model} if use_model else {}),
    }


def _encoder_digest(chosen: LearningSettings, use_model: int | None) -> str:
    if use_model:
        return ModelVersion.objects.get(project_id=chosen.project_id, number=use_model).encoder_digest
    encoding = current_encoding(chosen)
    return encoding.digest if encoding else ""
