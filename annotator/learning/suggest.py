"""What the served ranking's model says about one row: for items that must look like the ranked ones around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.reasons import class_names, reason_of
from annotator.learning.selectors import served_round

SUGGESTED = 3


def suggest_for(project_id: int, row: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(suggestion, reason) as the round that is served would give for a ranked item; None where it has no score."""
    round_ = served_round(project_id)
    if round_ is None or round_.model is None:
        return None
    path = round_folder(project_id, round_.number) / "proba.npy"
    if not path.exists():
        return None
    stored = load_array(path)
    if row >= len(stored):
        return None
    proba = np.asarray(stored[row], dtype=np.float64)
    if np.isnan(proba).any():
        return None
    keys = list(round_.settings["class_keys"])
    best = np.argsort(-proba, kind="stable")[:SUGGESTED].tolist()
    classes = {keys[column]: round(float(proba[column]), 4) for column in best}
    suggestion = {"model": round_.model.number, "classes": classes}
    names = class_names(round_.settings["schema"])
    return suggestion, reason_of("ranked", round_, None, suggestion, None, names)
