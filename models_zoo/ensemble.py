"""A committee of heads over frozen features: what the labels leave open, as draws of probabilities.

Two kinds, one form. An ensemble learns the same labels with other weights for each member (the Bayesian bootstrap:
Rubin 1981), so that every member knows every class and all are fitted as one batch. Dropout hides features from the
one head: a mask belongs to a member and is the same for every item, as joint entropies of items need it (Gal and
Ghahramani 2016). A masked feature is a zero in the weights, so a member of either kind is a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models_zoo.device import HEAD_THREADS, torch_threads
from models_zoo.head import HeadState, initial_point
from models_zoo.objective import HeadProblem, check_features, one_hot

KINDS = ("ensemble", "dropout")
# From more labels than this a part is taken: members are to differ, not to be exact.
MEMBER_ROWS = 20_000
_TOLERANCE = 1e-6
# Scores (members x classes x rows) that a fit holds at a time, and that a prediction does.
_FIT_ENTRIES = 1 << 25
_PREDICT_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class HeadEnsemble:
    """weights (M, C, D), bias (M, C): heads over the same features and classes, at one temperature."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    class_keys: tuple[str, ...]
    multi: bool = False
    temperature: float = 1.0

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def dim(self) -> int:
        return int(self.weights.shape[2])

    def predict(self, features: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return draws (n, C, M), in `out` if given; features (n, D) may be a float16 memory map.

        Beside the result, memory does not depend on n.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features must be (n, {self.dim}), got {features.shape}")
        members, classes = self.bias.shape
        if out is None:
            out = np.empty((len(features), classes, members), dtype=np.float32)
        elif out.shape != (len(features), classes, members) or out.dtype != np.float32:
            raise ValueError(f"out must be float32 {(len(features), classes, members)}, got {out.shape}")
        # Classes before members, as in the result.
        weights = torch.from_numpy(self.weights.transpose(1, 0, 2).reshape(-1, self.dim) / self.temperature).T
        bias = torch.from_numpy(self.bias.T.reshape(-1) / self.temperature)
        chunk = max(1, _PREDICT_ENTRIES // max(classes * members, self.dim))
        for start in range(0, len(features), chunk):
            # A copy: memory maps are read-only, which torch does not take.
            rows = torch.from_numpy(np.array(features[start : start + chunk])).float()
            scores = torch.addmm(bias, rows, weights).view(-1, classes, members)
            scores = scores.sigmoid_() if self.multi else scores.softmax(1)
            out[start : start + chunk] = scores.numpy()
        return out


def fit_ensemble(
    features: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    *,
    members: int,
    seed: int,
    multi: bool = False,
    strength: float,
    temperature: float = 1.0,
    init: HeadState | None = None,
    max_rows: int = MEMBER_ROWS,
) -> HeadEnsemble:
    """Fit heads that weigh the labels differently: features (n, D), targets (n,) classes or bool (n, C).

    Member m has exponential weights of mean 1 from (seed, m), whoever else is in the ensemble. `init` only saves
    time. Raises NotEnoughData with fewer than two classes, SampleError where a row of features is not finite.
    """
    targets = np.asarray(targets)
    kept = _part(targets, max_rows, np.random.default_rng([seed, 0]), multi=multi)
    rows = check_features(np.asarray(features)[kept])
    encoded = one_hot(targets[kept], len(rows), len(class_keys), multi=multi)
    at_once = max(1, _FIT_ENTRIES // max(1, len(rows) * len(class_keys)))
    matrices, biases = [], []
    with torch_threads(HEAD_THREADS):
        for start in range(0, members, at_once):
            weights = [
                np.random.default_rng([seed, 1 + member]).standard_exponential(len(rows))
                for member in range(start, min(start + at_once, members))
            ]
            problem = HeadProblem(rows, encoded, np.array(weights), multi=multi)
            first = initial_point(problem, init, class_keys)
            points, _, _ = problem.solve(strength, first, tolerance=_TOLERANCE)
            matrix, bias = problem.heads(points)
            matrices.append(matrix)
            biases.append(bias)
    return HeadEnsemble(
        np.concatenate(matrices), np.concatenate(biases), tuple(class_keys), multi, float(temperature)
    )


def dropout_ensemble(
    head: HeadState, mean: NDArray[Any], *, members: int, rate: float, seed: int
) -> HeadEnsemble:
    """Members of one head that each do not see a share `rate` of the features, and the others the stronger.

    mean (D,) of the features: a feature that is hidden has its mean value. Member m's mask is that of (seed, m).
    """
    if not 0 < rate < 1:
        raise ValueError(f"the dropout rate must lie between 0 and 1, got {rate}")
    if np.shape(mean) != (head.dim,):
        raise ValueError(f"the mean must be ({head.dim},), got {np.shape(mean)}")
    masks = [np.random.default_rng([seed, 1 + m]).random(head.dim) >= rate for m in range(members)]
    weights = head.weights[None] * (np.array(masks, dtype=np.float32) / (1 - rate))[:, None, :]
    bias = head.bias[None] + (head.weights[None] - weights) @ np.asarray(mean, dtype=np.float32)
    return HeadEnsemble(
        weights.astype(np.float32), bias.astype(np.float32), head.class_keys, head.multi, head.temperature
    )


def _part(targets: NDArray[Any], most: int, rng: np.random.Generator, *, multi: bool) -> NDArray[np.int64]:
    """Rows to learn from: all, or about `most`, the same share of each class and at least one of it."""
    if len(targets) <= most:
        return np.arange(len(targets))
    order = rng.permutation(len(targets))
    if multi:
        return np.sort(order[:most])
    order = order[np.argsort(targets[order], kind="stable")]
    counts = np.bincount(targets)
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    quota = np.ceil(counts * (most / len(targets)))
    return np.sort(order[within < quota[targets[order]]])
