"""ActiveLab: is another label for a labelled item worth more than a first one for a new item?

H. W. Goh and J. Mueller (2023). The smallest score is the most worth asking about; scores of both kinds compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.quality.votes import Ints, Votes

Floats = npt.NDArray[np.float64]
LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Weights:
    """How much the model and each person count. annotators (w,) ids ascending, weight (w,).

    `agreement`: how often votes agree with the consensus where there are several, NaN where there never are.
    """

    model: float
    annotators: Ints
    weight: Floats
    agreement: float

    @property
    def mean(self) -> float:
        return float(self.weight.mean()) if len(self.weight) else 1.0


def weigh(votes: Votes, rows: Ints, targets: Ints, proba: Floats) -> Weights:
    """Weights from votes on `rows` (n,) ascending with consensus `targets` (n,) and out-of-sample `proba` (n, C).

    Where no item has two votes nothing tells people from the model: every weight is 1.
    """
    place = np.searchsorted(rows, votes.rows)
    voters = np.bincount(place, minlength=len(rows))
    people, who = np.unique(votes.annotators, return_inverse=True)
    several = voters > 1
    if not several.any():
        return Weights(1.0, people, np.ones(len(people)), float("nan"))
    same = votes.labels == targets[place]
    share = np.bincount(place, weights=same, minlength=len(rows)) / np.maximum(voters, 1)
    commonest = np.bincount(targets[several], minlength=proba.shape[1]).max()
    e0 = max(1 - commonest / several.sum(), LEAST)
    agree = _with_others(votes, place, voters, who, len(people), proba.shape[1])
    weight = np.maximum(1 - (1 - agree) / e0, LEAST)
    error = float((proba[several].argmax(axis=1) != targets[several]).mean())
    model = max(1 - error / e0, LEAST) * float(np.sqrt(voters.mean()))
    return Weights(model, people, weight, float(share[several].mean()))


def _with_others(votes: Votes, place: Ints, voters: Ints, who: Ints, people: int, classes: int) -> Floats:
    """Share of other people's votes on the same items that agree with each person's (w,); the mean where there are none."""
    matrix = np.zeros((len(voters), classes))
    np.add.at(matrix, (place, votes.labels), 1.0)
    agreeing = np.bincount(who, weights=matrix[place, votes.labels] - 1, minlength=people)
    others = np.bincount(who, weights=voters[place] - 1, minlength=people)
    known = others > 0
    agree = np.where(known, agreeing / np.maximum(others, 1), np.nan)
    return np.where(known, agree, agree[known].mean() if known.any() else 1.0)


def labelled_scores(votes: Votes, rows: Ints, targets: Ints, proba: Floats, weights: Weights) -> Floats:
    """Scores (n,) of labelled items: how sure their label is, drawn towards 1 / C where little speaks for it."""
    classes = proba.shape[1]
    place = np.searchsorted(rows, votes.rows)
    each = weights.weight[np.searchsorted(weights.annotators, votes.annotators)]
    people = np.bincount(place, weights=each, minlength=len(rows))
    everybody = people + weights.model
    picked = np.take_along_axis(proba, targets[:, None], axis=1)[:, 0]
    if np.isnan(weights.agreement):
        quality = picked
    else:
        rho = weights.agreement
        says = np.where(votes.labels == targets[place], rho, (1 - rho) / max(classes - 1, 1))
        voted = np.bincount(place, weights=each * says, minlength=len(rows))
        quality = (weights.model * picked + voted) / everybody
    return np.asarray((everybody * quality + weights.mean / classes) / (everybody + weights.mean))


def unlabelled_scores(proba: Floats, weights: Weights) -> Floats:
    """Scores (m,) of items without labels, of their probabilities (m, C)."""
    sure = proba.max(axis=1)
    mean = weights.mean / proba.shape[1]
    return np.asarray((weights.model * sure + mean) / (weights.model + weights.mean))
