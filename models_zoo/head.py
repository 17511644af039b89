"""The linear head over frozen features: L2-regularised multinomial, or one-vs-rest, logistic regression.

The objective is sum_i w_i loss_i + strength / 2 * ||W||^2 with a free bias (scikit-learn's C is 1 / strength). A
sum, not a mean: the right strength then depends little on how many labels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models_zoo.device import HEAD_THREADS, torch_threads
from models_zoo.errors import NotEnoughData
from models_zoo.objective import HeadProblem, check_features, match_classes, one_hot

DEFAULT_STRENGTH = 0.3
CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class HeadState:
    """A fitted head: weights (C, D), bias (C,), columns in the order of `class_keys`.

    `seen` (C,): the class had labels; others keep a column with a small constant probability. `iterations` and
    `converged` tell how the fit went.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    class_keys: tuple[str, ...]
    seen: NDArray[np.bool_]
    multi: bool = False
    strength: float = DEFAULT_STRENGTH
    temperature: float = 1.0
    iterations: int = 0
    converged: bool = True

    @property
    def dim(self) -> int:
        return int(self.weights.shape[1])

    def logits(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return scores (n, C) before the temperature; features (n, D) may be a float16 memory map."""
        return self._apply(features, probabilities=False)

    def predict_proba(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return probabilities (n, C): rows sum to one, for multi-label each class on its own."""
        return self._apply(features, probabilities=True)

    def _apply(self, features: NDArray[Any], *, probabilities: bool) -> NDArray[np.float32]:
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features must be (n, {self.dim}), got {features.shape}")
        weights, bias = torch.from_numpy(np.array(self.weights)).T, torch.from_numpy(np.array(self.bias))
        if probabilities:
            weights, bias = weights / self.temperature, bias / self.temperature
        out = np.empty((len(features), len(self.class_keys)), dtype=np.float32)
        for start in range(0, len(features), CHUNK):
            # A copy: memory maps are read-only, which torch does not take.
            rows = torch.from_numpy(np.array(features[start : start + CHUNK])).float()
            scores = torch.addmm(bias, rows, weights)
            if probabilities:
                scores = scores.sigmoid_() if self.multi else scores.softmax(1)
            out[start : start + CHUNK] = scores.numpy()
        return out


def initial_point(
    problem: HeadProblem, init: HeadState | None, class_keys: Sequence[str]
) -> torch.Tensor | None:
    """Return where a warm start begins: classes are matched by key, new ones start at zero."""
    if init is None or init.dim != problem.dim:
        return None
    columns = match_classes(init.class_keys, class_keys)
    known = columns >= 0
    known[known] = init.seen[columns[known]]
    weights = np.zeros((len(class_keys), init.dim), dtype=np.float32)
    bias = np.zeros(len(class_keys), dtype=np.float32)
    weights[known], bias[known] = init.weights[columns[known]], init.bias[columns[known]]
    if known.any() and not problem.multi:
        bias[~known] = bias[known].min()
    return problem.start(weights, bias)


def fit_head(
    features: NDArray[Any],
    targets: NDArray[Any],
    class_keys: Sequence[str],
    *,
    multi: bool = False,
    strength: float = DEFAULT_STRENGTH,
    temperature: float = 1.0,
    sample_weight: NDArray[np.floating] | None = None,
    init: HeadState | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    dtype: torch.dtype = torch.float32,
) -> HeadState:
    """Fit a head on features (n, D) and targets: class indices (n,), or booleans (n, C) for `multi`.

    `init` is a warm start only: the optimum is unique. The fit ends when less than `tolerance` nats a label remain
    to be gained. Raises NotEnoughData with fewer than two classes seen,
    SampleError where a row of features is not finite.
    """
    rows = check_features(features)
    if not len(rows):
        raise NotEnoughData("a model needs labels of at least two classes; there are no labels yet")
    encoded = one_hot(np.asarray(targets), len(rows), len(class_keys), multi=multi)
    weights = np.ones(len(rows)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (len(rows),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample weights must be (n,), finite and not negative")
    with torch_threads(HEAD_THREADS):
        problem = HeadProblem(rows, encoded, weights[None], multi=multi, dtype=dtype)
        start = initial_point(problem, init, class_keys)
        point, iterations, converged = problem.solve(
            strength, start, tolerance=tolerance, max_iterations=max_iterations
        )
        matrices, biases = problem.heads(point)
    return HeadState(
        weights=matrices[0],
        bias=biases[0],
        class_keys=tuple(class_keys),
        seen=problem.seen[0].numpy(),
        multi=multi,
        strength=float(strength),
        temperature=float(temperature),
        iterations=iterations,
        converged=converged,
    )
