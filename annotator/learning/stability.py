"""How far a new model agrees with the one before: predictions that settle are a sign that more labels change little."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.hashing import item_keys
from acquisition.stopping import kappa
from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from annotator.learning.work import Work

COMPARED = 20_000  # rows at most, always the same ones of a project


def stability(work: Work) -> dict[str, Any] | None:
    """Share of equal predictions and kappa against the last round with another model; None where there is none.

    Compared are rows that both have scored, labelled or not, under the same classes.
    """
    round_ = work.round
    if round_.model is None:
        return None
    before = (
        Round.objects.filter(
            project_id=round_.project_id,
            number__lt=round_.number,
            state=Round.State.PUBLISHED,
            model__isnull=False,
        )
        .exclude(model=round_.model)
        .order_by("-number")
        .first()
    )
    if before is None or before.settings.get("class_keys") != round_.settings.get("class_keys"):
        return None
    old, new = (_scores(round_.project_id, number) for number in (before.number, round_.number))
    if old is None or new is None:
        return None
    rows = _sample(min(len(old), len(new)), int(work.settings["exploration_seed"]))
    first, second = (np.asarray(part[rows], dtype=np.float32) for part in (old, new))
    known = ~(np.isnan(first).any(axis=1) | np.isnan(second).any(axis=1))
    if not known.any():
        return None
    one, two = (_classes(part[known], multi=work.multi) for part in (first, second))
    return {
        "round": before.number,
        "agreement": round(float((one == two).mean()), 5),
        "kappa": round(kappa(one, two), 5),
        "rows": int(known.sum()),
    }


def _scores(project_id: int, number: int) -> npt.NDArray[Any] | None:
    path = round_folder(project_id, number) / "proba.npy"
    return load_array(path) if path.exists() else None


def _sample(count: int, seed: int) -> npt.NDArray[np.int64]:
    rows = np.arange(count, dtype=np.int64)
    if count <= COMPARED:
        return rows
    return np.sort(np.argpartition(item_keys(seed, rows), COMPARED)[:COMPARED]).astype(np.int64)


def _classes(proba: npt.NDArray[np.float32], *, multi: bool) -> npt.NDArray[np.int64]:
    """Predicted class of each row; where any number may be chosen, of each row and class whether it is."""
    chosen = (proba >= 0.5).ravel() if multi else proba.argmax(axis=1)
    return np.asarray(chosen, dtype=np.int64)
