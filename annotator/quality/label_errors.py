"""Labels that a model trained on the others contradicts: confident learning, by cleanlab. For workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

Floats = npt.NDArray[np.float64]
LEAST = 20  # labels below which nothing is said


def suspects(targets: npt.NDArray[Any], proba: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Places (k,) of labels that look wrong, worst first, and how well the model bears each out (k,).

    targets (n,) class indices or (n, C) booleans; proba (n, C) from models that never saw the label. C. G. Northcutt,
    L. Jiang and I. L. Chuang, Journal of Artificial Intelligence Research 70 (2021). Nothing is found among few labels, or
    of one class.
    """
    nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(targets) < LEAST:
        return nothing
    if targets.ndim == 2:
        return _of_several(targets, proba) or nothing
    # cleanlab asks for every class to be there: absent ones leave, and what is left sums to one again.
    present = np.unique(targets)
    if len(present) < 2:
        return nothing
    labels = np.searchsorted(present, targets)
    shares = _normalised(proba[:, present])
    found = find_label_issues(
        labels, shares, filter_by="prune_by_noise_rate", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    scores = get_label_quality_scores(labels, shares, method="self_confidence")
    return np.asarray(found, dtype=np.int64), np.asarray(scores[found], dtype=np.float64)


def _of_several(targets: npt.NDArray[np.bool_], proba: Floats) -> tuple[npt.NDArray[np.int64], Floats] | None:
    """Class by class, as 'this class or not'; an item is as bad as its worst class."""
    worst: dict[int, float] = {}
    for column in range(targets.shape[1]):
        yes = targets[:, column].astype(np.int64)
        if yes.min() == yes.max():
            continue
        places, scores = suspects(yes, np.column_stack([1 - proba[:, column], proba[:, column]]))
        for place, score in zip(places.tolist(), scores.tolist(), strict=True):
            worst[place] = min(score, worst.get(place, 1.0))
    if not worst:
        return None
    order = sorted(worst, key=lambda place: (worst[place], place))
    return np.array(order, dtype=np.int64), np.array([worst[place] for place in order])


def _normalised(proba: Floats) -> Floats:
    total = proba.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 1e-9, proba / np.maximum(total, 1e-9), 1 / proba.shape[1]))
