"""Truth from votes by expectation maximisation: the one place that knows crowd-kit. For workers: pandas comes with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from crowdkit.aggregation.classification.dawid_skene import DawidSkene, OneCoinDawidSkene

from annotator.quality.errors import VotesError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Method = Literal["dawid_skene", "one_coin"]
ITERATIONS, TOLERANCE = 100, 1e-5
LEAST = 1e-10  # what crowd-kit clips probabilities at
NAMES = ["worker", "label"]


@dataclass(frozen=True, eq=False)
class Crowd:
    """tasks (n,) ascending, proba (n, C) of the true class; workers (w,) ascending, confusion (w, C, C): [answer, truth].

    prior (C,). `bounds`: the evidence lower bound per vote after each iteration, empty where there was nothing to learn.
    """

    tasks: Ints
    proba: Floats
    workers: Ints
    confusion: Floats
    prior: Floats
    bounds: tuple[float, ...] = ()

    def accuracy(self) -> Floats:
        """Chance (w,) that a worker is right about an item drawn by the prior."""
        return np.asarray(np.einsum("wcc,c->w", self.confusion, self.prior))


class _Confusions(DawidSkene):
    """Dawid-Skene that adds `counts` (workers x labels by classes) in every M-step, where crowd-kit does in the first."""

    counts: Any = None

    def _m_step(self, data: Any, probas: Any, *_: Any) -> Any:  # type: ignore[override]
        return DawidSkene._m_step(data, probas, self.counts, None if self.counts is None else "addition")

    def _evidence_lower_bound(self, data: Any, probas: Any, priors: Any, errors: Any) -> float:
        # crowd-kit counts the prior once a vote; that bound can fall, and then ends the search too early.
        bound = _bound(data, probas, errors, np.log(np.maximum(priors, LEAST)))
        if self.counts is not None:
            log = np.log(np.maximum(errors, LEAST)).reindex(self.counts.index)
            bound += float((self.counts * log).to_numpy().sum())
        return bound


class _OneCoin(OneCoinDawidSkene):
    """One-coin with `smoothing` right and as many wrong answers added to each worker, and `truth` kept in every step.

    Classes are equally likely beforehand, as in Y. Zhang et al., Journal of Machine Learning Research 17 (2016). crowd-kit
    learns their shares, which one accuracy for each worker cannot keep from running away to a single class.
    """

    smoothing: float = 0.0
    truth: Any = None

    def _m_step(self, data: Any, probas: Any) -> Any:  # type: ignore[override]
        skills = OneCoinDawidSkene._m_step(data, probas)
        answers = data.groupby("worker", sort=False).size().reindex(skills.index)
        return (skills * answers + self.smoothing) / (answers + 2 * self.smoothing)

    def _e_step(self, data: Any, priors: Any, errors: Any) -> Any:  # type: ignore[override]
        even = pd.Series(1 / len(priors), index=priors.index)
        probas = DawidSkene._e_step(data, even, errors)
        return probas if self.truth is None else self._correct_probas_with_golden(probas, self.truth)

    def _evidence_lower_bound(self, data: Any, probas: Any, priors: Any, errors: Any) -> float:
        bound = _bound(data, probas, errors, -np.log(len(priors)))
        if self.smoothing:
            # A wrong answer is any other class: what was added says nothing of which.
            right = self._m_step(data, probas)
            bound += float(self.smoothing * (np.log(right) + np.log(1 - right)).sum())
        return bound

    @staticmethod
    def _process_skills_to_errors(data: Any, probas: Any, skills: Any) -> Any:
        # As crowd-kit does row by row in Python, which takes a second an iteration for a hundred workers.
        errors = DawidSkene._m_step(data, probas)
        workers, labels = (errors.index.get_level_values(name) for name in NAMES)
        skill = skills.loc[workers].to_numpy()[:, None]
        own = labels.to_numpy()[:, None] == errors.columns.to_numpy()[None, :]
        values = np.where(own, skill, (1 - skill) / (errors.shape[1] - 1))
        return pd.DataFrame(np.clip(values, LEAST, 1 - LEAST), index=errors.index, columns=errors.columns)


def _bound(data: Any, probas: Any, errors: Any, log_prior: Any) -> float:
    """Expected log likelihood of votes and truths plus the entropy of what is believed of the truths."""
    each = data.join(np.log(np.maximum(errors, LEAST)), on=NAMES).drop(columns=NAMES)
    log = each.groupby("task", sort=False).sum().reindex(probas.index)[probas.columns] + log_prior
    believed = np.maximum(probas.to_numpy(), LEAST)
    return float((believed * (log.to_numpy() - np.log(believed))).sum())


def posterior(
    tasks: Ints,
    workers: Ints,
    labels: Ints,
    *,
    n_classes: int,
    method: Method,
    truth: Mapping[int, int] | None = None,
    smoothing: float = 1.0,
    iterations: int = ITERATIONS,
) -> Crowd:
    """What the votes (v,) say about each task, by A. P. Dawid and A. M. Skene, Applied Statistics 28 (1979), or one-coin.

    `truth`: task -> class where it is known. `smoothing`: right answers of each class added to each worker's confusions
    (one-coin: right and wrong answers added to each), so that three labels do not make anybody infallible. With one worker,
    or one class seen, the votes are the answer.
    """
    _check(tasks, workers, labels, n_classes)
    known = {task: label for task, label in (truth or {}).items() if 0 <= label < n_classes}
    if len(np.unique(labels)) < 2 or len(np.unique(workers)) < 2:
        return _as_voted(tasks, workers, labels, n_classes, known)
    data = pd.DataFrame({"task": tasks, "worker": workers, "label": labels})
    seen = set(np.unique(labels).tolist())
    given = {task: label for task, label in known.items() if label in seen}
    marks = pd.Series(given, dtype="int64") if given else None
    with warnings.catch_warnings():
        # crowd-kit 1.4 names arguments that pandas 3 no longer needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        fitted = _fit(data, method, marks, smoothing, iterations)
    return _crowd(fitted, n_classes, known)


def _fit(data: Any, method: Method, marks: Any, smoothing: float, iterations: int) -> Any:
    if method == "one_coin":
        model = _OneCoin(n_iter=iterations, tol=TOLERANCE)
        model.smoothing, model.truth = smoothing, marks
        return model.fit(data)
    full = _Confusions(n_iter=iterations, tol=TOLERANCE)
    if smoothing > 0:
        classes = np.sort(data["label"].unique())
        index = pd.MultiIndex.from_product([np.sort(data["worker"].unique()), classes], names=NAMES)
        repeated = np.tile(np.eye(len(classes)) * smoothing, (len(index) // len(classes), 1))
        full.counts = pd.DataFrame(repeated, index=index, columns=classes)
    return full.fit(data, true_labels=marks)


def _crowd(fitted: Any, n_classes: int, known: Mapping[int, int]) -> Crowd:
    """Out of data frames, over all classes, unseen ones included."""
    shares = fitted.probas_.sort_index().reindex(columns=range(n_classes), fill_value=0.0)
    tasks = shares.index.to_numpy(dtype=np.int64)
    proba = np.array(shares.to_numpy(dtype=np.float64))  # a copy: pandas lends its own read-only
    for task, label in known.items():
        place = np.searchsorted(tasks, task)
        if place < len(tasks) and tasks[place] == task:
            proba[place] = np.eye(n_classes)[label]
    workers = np.sort(fitted.errors_.index.get_level_values("worker").unique().to_numpy(dtype=np.int64))
    index = pd.MultiIndex.from_product([workers, range(n_classes)], names=NAMES)
    errors = fitted.errors_.reindex(index=index, columns=range(n_classes), fill_value=0.0)
    confusion = errors.to_numpy(dtype=np.float64).reshape(len(workers), n_classes, n_classes)
    prior = fitted.priors_.reindex(range(n_classes), fill_value=0.0).to_numpy(dtype=np.float64)
    return Crowd(
        tasks,
        proba / proba.sum(axis=1, keepdims=True),
        workers,
        confusion,
        prior / prior.sum(),
        tuple(fitted.loss_history_),
    )


def _as_voted(tasks: Ints, workers: Ints, labels: Ints, n_classes: int, known: Mapping[int, int]) -> Crowd:
    """Shares of the votes; every worker is taken to be right."""
    distinct, place = np.unique(tasks, return_inverse=True)
    counts = np.zeros((len(distinct), n_classes))
    np.add.at(counts, (place, labels), 1.0)
    proba = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for task, label in known.items():
        proba[distinct == task] = np.eye(n_classes)[label]
    people = np.unique(workers)
    prior = proba.mean(axis=0) if len(proba) else np.full(n_classes, 1 / max(n_classes, 1))
    return Crowd(distinct, proba, people, np.tile(np.eye(n_classes), (len(people), 1, 1)), prior)


def _check(tasks: Ints, workers: Ints, labels: Ints, n_classes: int) -> None:
    if not len(tasks) == len(workers) == len(labels):
        raise VotesError(f"{len(tasks)} tasks, {len(workers)} workers and {len(labels)} labels are no votes.")
    if len(labels) and not (labels.min() >= 0 and labels.max() < n_classes):
        raise VotesError(f"Labels must lie in 0..{n_classes - 1}.")
