"""What the model of the round before said: its file of probabilities, in terms of today's classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotator.learning.arrays import load_array
from annotator.learning.classes import to_classes
from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from annotator.learning.work import Ints, Work


def earlier_round(work: Work) -> Round | None:
    """The latest published round before this one with another model, if its probabilities are still kept.

    Rounds that only ranked again with the same model say nothing new about the change that labels made.
    """
    rounds = Round.objects.filter(
        project_id=work.round.project_id,
        number__lt=work.round.number,
        state=Round.State.PUBLISHED,
        model__isnull=False,
    ).exclude(model=work.round.model)
    # Only the newest counts: with an older one the change would be that of several rounds.
    found = rounds.order_by("-number").first()
    return found if found is not None and proba_path(found).exists() else None


def proba_path(round_: Round) -> Path:
    return round_folder(round_.project_id, round_.number) / "proba.npy"


def earlier_proba(work: Work, round_: Round | None, rows: Ints) -> npt.NDArray[np.float32]:
    """Probabilities (n, C) that the round kept of these rows, NaN where it had none or there is no round."""
    found = np.full((len(rows), len(work.class_keys)), np.nan, dtype=np.float32)
    if round_ is None:
        return found
    stored = load_array(proba_path(round_))
    inside = np.flatnonzero(rows < len(stored))
    said = np.asarray(stored[rows[inside]], dtype=np.float32)
    known = ~np.isnan(said).any(axis=1)
    inside, said = inside[known], said[known]
    if not work.multi:
        # Half precision rounds each class for itself.
        said /= said.sum(axis=1, keepdims=True)
    keys = list(round_.settings["class_keys"])
    found[inside] = to_classes(said, keys, work.schema.resolve(), work.class_keys, multi=work.multi)
    return found
