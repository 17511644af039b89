"""Probabilities of labelled items by heads that never saw their labels. Needs torch: runs in workers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from annotator.learning.work import Ints, Work
from models_zoo.errors import NotEnoughData
from models_zoo.tuning import cross_fit


def cross_fitted(work: Work, folds: Ints) -> npt.NDArray[np.float64] | None:
    """Probabilities (n, C) of `work.trainable`, each by the round's head fitted again without the row's fold (n,).

    Rows of fold -1 teach in every fit, and theirs are NaN. None where there are too few labels to fit.
    """
    data, head = work.trainable, work.head.state
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
        return None
    scaled = logits.astype(np.float64) / head.temperature
    return np.asarray(expit(scaled) if work.multi else softmax(scaled, axis=1))
