"""ActiveLab: is another answer to a labelled item worth more than a first answer to a new one?

One number for both kinds of item, the smallest to be asked first: how sure consensus and model together are of the
label, drawn towards 1 / C by as much as one more answer could tell. Sources: Goh, Tkachenko and Mueller 2022,
'CROWDLAB'; Goh and Mueller 2023, 'ActiveLab: active learning with re-labeling by multiple annotators'.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.errors import PoolError

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MISSING = -1
# Nobody's answer counts for nothing at all.
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, eq=False)
class Trust:
    """How much is given on whom: weights (W,) of the annotators, of the model, and how often an answer is right."""

    annotators: Doubles
    model: float
    agreement: float

    @property
    def average(self) -> float:
        """The weight of one more answer by somebody."""
        return float(self.annotators.mean()) if len(self.annotators) else 1.0


@dataclass(frozen=True, eq=False)
class ActiveLab:
    """consensus (n,) classes; quality (n,): how likely they are right; score (n,) and unlabelled (m,): smallest first."""

    consensus: Ints
    quality: Doubles
    score: Doubles
    unlabelled: Doubles
    trust: Trust


def activelab(
    labels: npt.NDArray[Any],
    proba: npt.NDArray[Any],
    unlabelled: npt.NDArray[Any] | None = None,
    *,
    trust: Trust | None = None,
) -> ActiveLab:
    """Scores of labelled and of unlabelled items, which compare with each other.

    labels (n, W): class of each annotator's answer, -1 for none, at least one a row. proba (n, C) and unlabelled
    (m, C): a model's probabilities, best out of fold. trust: default `trust_of` the same answers. PoolError for
    shapes and classes that do not fit.
    """
    labels, proba = _checked(labels, proba)
    others = np.zeros((0, proba.shape[1])) if unlabelled is None else np.asarray(unlabelled, dtype=np.float64)
    if others.ndim != 2 or others.shape[1] != proba.shape[1]:
        raise PoolError(
            f"Probabilities of unlabelled items must be (m, {proba.shape[1]}), not {others.shape}."
        )
    agreed = majority(labels, proba)
    trust = trust or trust_of(labels, proba, agreed)
    quality = _posterior(labels, proba, trust)[np.arange(len(labels)), agreed]
    given = (labels != MISSING) @ trust.annotators + trust.model
    one_more, chance = trust.average, 1 / proba.shape[1]
    return ActiveLab(
        agreed,
        quality,
        (given * quality + one_more * chance) / (given + one_more),
        (trust.model * others.max(axis=1, initial=0.0) + one_more * chance) / (trust.model + one_more),
        trust,
    )


def majority(labels: npt.NDArray[Any], proba: npt.NDArray[Any]) -> Ints:
    """The class with most answers of each row (n,); of equal ones that which the model finds likeliest."""
    counts = _counts(labels, proba.shape[1])
    # Probabilities are at most 1 and whole answers 1 apart, so half of one decides between equal counts alone.
    return np.asarray(np.argmax(counts + 0.5 * proba, axis=1), dtype=np.int64)


def trust_of(labels: npt.NDArray[Any], proba: npt.NDArray[Any], agreed: Ints | None = None) -> Trust:
    """Weights from agreement, over what always answering the commonest class would reach.

    An annotator's agreement is with the other annotators of the same items, the model's with the consensus, each on
    items with more than one answer. Without such items nothing is known, and every weight is 1.
    """
    labels, proba = _checked(labels, proba)
    agreed = majority(labels, proba) if agreed is None else agreed
    counts = _counts(labels, proba.shape[1])
    answers = counts.sum(axis=1)
    several = answers > 1
    if not several.any():
        return Trust(
            np.ones(labels.shape[1]), float(np.sqrt(max(1.0, answers.mean()))) if len(labels) else 1.0, 1.0
        )
    baseline = 1 - np.bincount(agreed[several]).max() / several.sum()
    baseline = max(float(baseline), LEAST_WEIGHT)
    share = counts[several, agreed[several]] / answers[several]
    wrong = float((proba[several].argmax(axis=1) != agreed[several]).mean())
    return Trust(
        _weight(_agreement_with_others(labels[several], counts[several]), baseline),
        float(_weight(np.array([1 - wrong]), baseline)[0] * np.sqrt(answers.mean())),
        float(share.mean()),
    )


def _weight(agreement: Doubles, baseline: float) -> Doubles:
    return np.maximum(1 - (1 - agreement) / baseline, LEAST_WEIGHT)


def _agreement_with_others(labels: npt.NDArray[Any], counts: Doubles) -> Doubles:
    """Share (W,) of other people's answers to the same items that are like the annotator's; the mean where unknown."""
    found = np.full(labels.shape[1], np.nan)
    for annotator in range(labels.shape[1]):
        rows = np.flatnonzero(labels[:, annotator] != MISSING)
        if len(rows):
            alike = counts[rows, labels[rows, annotator]] - 1
            found[annotator] = alike.sum() / (counts[rows].sum(axis=1) - 1).sum()
    return np.where(np.isnan(found), np.nanmean(found), found)


def _posterior(labels: npt.NDArray[Any], proba: Doubles, trust: Trust) -> Doubles:
    """(n, C): what model and answers say, averaged with their weights; an answer is right with the mean agreement."""
    classes = proba.shape[1]
    off = (1 - trust.agreement) / max(1, classes - 1)
    weight = (labels != MISSING) * trust.annotators
    total = weight.sum(axis=1, keepdims=True)
    for_class = np.zeros_like(proba)
    for annotator in range(labels.shape[1]):
        rows = np.flatnonzero(labels[:, annotator] != MISSING)
        for_class[rows, labels[rows, annotator]] += weight[rows, annotator]
    said = for_class * (trust.agreement - off) + total * off
    return np.asarray((trust.model * proba + said) / (trust.model + total), dtype=np.float64)


def _counts(labels: npt.NDArray[Any], classes: int) -> Doubles:
    counts = np.zeros((len(labels), classes))
    rows, annotators = np.nonzero(labels != MISSING)
    np.add.at(counts, (rows, labels[rows, annotators]), 1)
    return counts


def _checked(labels: npt.NDArray[Any], proba: npt.NDArray[Any]) -> tuple[Ints, Doubles]:
    labels, proba = np.asarray(labels), np.asarray(proba, dtype=np.float64)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or proba.ndim != 2 or len(labels) != len(proba):
        raise PoolError(
            f"Labels must be integers (n, W) and proba (n, C), not {labels.shape} and {proba.shape}."
        )
    if labels.size and (labels.min() < MISSING or labels.max() >= proba.shape[1]):
        raise PoolError(f"Labels must lie in 0..{proba.shape[1] - 1}, or be {MISSING} for none.")
    if not bool(((labels != MISSING).any(axis=1)).all()):
        raise PoolError("Every row needs an answer; those without belong to the unlabelled items.")
    return labels.astype(np.int64), proba
