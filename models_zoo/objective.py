"""Regularised logistic regression as a batch of problems over the same rows (folds differ by their row weights)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models_zoo.errors import NotEnoughData, SampleError
from models_zoo.lbfgs import minimise

# Rows from which the curvature is estimated: enough for a preconditioner.
_CURVATURE_ROWS = 2_000


def check_features(features: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return features (n, D) as float32; raise SampleError at the first row that is not finite."""
    rows = np.array(features, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"features must be (n, D), got shape {rows.shape}")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise SampleError("the features are not finite", index=int(np.argmin(finite)))
    return rows


def one_hot(targets: NDArray[np.generic], rows: int, classes: int, *, multi: bool) -> NDArray[np.float32]:
    """Return targets as (n, C) zeros and ones; raise ValueError where they do not fit."""
    if multi:
        if targets.shape != (rows, classes):
            raise ValueError(f"multi-label targets must be ({rows}, {classes}), got {targets.shape}")
        return np.asarray(targets, dtype=bool).astype(np.float32)
    if targets.shape != (rows,) or not np.issubdtype(targets.dtype, np.integer):
        raise ValueError(f"targets must be {rows} integers, got {targets.dtype} {targets.shape}")
    index = targets.astype(np.int64)
    if rows and (index.min() < 0 or index.max() >= classes):
        raise ValueError(f"targets must lie in 0 to {classes - 1}")
    encoded = np.zeros((rows, classes), dtype=np.float32)
    encoded[np.arange(rows), index] = 1
    return encoded


class HeadProblem:
    """B fits of one linear head over the same rows; row weights (B, n) tell who learns from what.

    Features are centred: the bias is not regularised, so the optimum stays and the problem is far better
    conditioned. With fewer rows than half the dimensions the fit runs in the space that the rows span, where the
    optimum lies anyway. A class that a fit has not seen (for multi-label: seen only one way) has no finite optimum:
    it is left out of that fit and gets a small constant probability, about that of one more label (Laplace).
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        targets: NDArray[np.float32],
        weights: NDArray[np.floating],
        *,
        multi: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        rows = torch.from_numpy(features).to(dtype)
        self.multi, self.dtype = multi, dtype
        self.classes, self.dim, self.problems = targets.shape[1], rows.shape[1], len(weights)
        self.mean = rows.mean(0) if len(rows) else torch.zeros(self.dim, dtype=dtype)
        rows = rows - self.mean
        self.basis: Tensor | None = None
        if len(rows) < self.dim // 2:
            self.basis = torch.linalg.qr(rows.T).Q.T.contiguous()
            rows = rows @ self.basis.T
        self.rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=dtype)], 1)
        self.weights = torch.from_numpy(np.array(weights)).to(dtype)
        encoded = torch.from_numpy(targets).to(dtype).T.contiguous()
        positive = self.weights @ encoded.T
        self.total = self.weights.sum(1)
        self.positive = positive
        self.seen = (positive > 0) & (positive < self.total[:, None] * (1 - 1e-6)) if multi else positive > 0
        self._check()
        weighted = encoded[None] * self.weights[:, None]
        self.linear = (weighted.flatten(0, 1) @ self.rows).view(self.problems, self.classes, -1)
        self.linear *= self.seen[..., None]

    def _check(self) -> None:
        enough = self.seen.sum(1) >= (1 if self.multi else 2)
        if bool(enough.all()):
            return
        if self.multi:
            raise NotEnoughData("at least one class needs an item with it and an item without it")
        raise NotEnoughData(
            f"a model needs labels of at least two classes; {int(self.seen[~enough][0].sum())} seen so far"
        )

    def start(self, weights: NDArray[np.floating], bias: NDArray[np.floating]) -> Tensor:
        """Return the start point (B, P) of a known head (C, D), (C,), the same for every problem."""
        matrix = torch.from_numpy(np.array(weights)).to(self.dtype)
        shift = torch.from_numpy(np.array(bias)).to(self.dtype) + matrix @ self.mean
        if self.basis is not None:
            matrix = matrix @ self.basis.T
        point = torch.cat([matrix, shift[:, None]], 1)[None] * self.seen[..., None]
        return point.flatten(1)

    def solve(
        self,
        strength: float,
        start: Tensor | None = None,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 200,
    ) -> tuple[Tensor, int, bool]:
        """Fit every problem; return the points (B, P), the iterations, and whether all converged.

        `tolerance` is what may remain to be gained, in nats a label.
        """
        point = torch.zeros(self.problems, self.classes * self.rows.shape[1], dtype=self.dtype)
        if start is not None:
            point = start.to(self.dtype)
        inverse = self._curvature(point, strength)

        def objective(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
            return self._objective(x, which, strength)

        def precondition(x: Tensor) -> Tensor:
            return (x.view(-1, inverse.shape[0]) @ inverse).view(x.shape)

        best = minimise(
            objective,
            point,
            precondition=precondition,
            tolerance=tolerance * float(self.total.mean()),
            max_iterations=max_iterations,
        )
        return best.x, best.iterations, bool(best.converged.all())

    def _probabilities(self, x: Tensor, which: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (b, C, n) and log normalisers: (b, n), for multi-label summed over classes."""
        scores = (x.view(-1, rows.shape[1]) @ rows.T).view(len(x), self.classes, len(rows))
        unseen = ~self.seen[which]
        if self.multi:
            normaliser = torch.nn.functional.softplus(scores)
            if bool(unseen.any()):
                normaliser.masked_fill_(unseen[..., None], 0)
                scores.masked_fill_(unseen[..., None], -torch.inf)
            return scores.sigmoid_(), normaliser.sum(1)
        if bool(unseen.any()):
            scores.masked_fill_(unseen[..., None], -torch.inf)
        top = scores.amax(1, keepdim=True)
        scores.sub_(top).exp_()
        total = scores.sum(1, keepdim=True)
        return scores.div_(total), (top + total.log()).squeeze(1)

    def _objective(self, x: Tensor, which: Tensor, strength: float) -> tuple[Tensor, Tensor]:
        proba, normaliser = self._probabilities(x, which, self.rows)
        weights, linear = self.weights[which], self.linear[which]
        point = x.view(linear.shape)
        penalised = point.clone()
        penalised[..., -1] = 0
        value = (
            (normaliser.double() * weights).sum(1)
            - (point.double() * linear).sum((1, 2))
            + 0.5 * strength * penalised.double().square().sum((1, 2))
        )
        proba *= weights[:, None]
        gradient = (proba.flatten(0, 1) @ self.rows).view(linear.shape)
        gradient += penalised.mul_(strength) - linear
        return value, gradient.flatten(1)

    def _curvature(self, point: Tensor, strength: float) -> Tensor:
        """Return the inverse of a (D+1, D+1) Hessian block: that of a class and a problem on average, at `point`."""
        step = max(1, len(self.rows) // _CURVATURE_ROWS)
        rows = self.rows[::step]
        first = torch.zeros(1, dtype=torch.int64)
        proba = self._probabilities(point[:1], first, rows)[0][0, self.seen[0]]
        weight = (proba * (1 - proba)).mean(0) * self.weights[:, ::step].mean(0) * step
        hessian = rows.T @ (rows * weight[:, None])
        # A floor keeps directions in which the start point is already certain from looking flat.
        hessian.diagonal().add_(strength)
        hessian[-1, -1] += 1e-3 * float(self.total.mean()) - strength
        return torch.cholesky_inverse(torch.linalg.cholesky(hessian))

    def heads(self, points: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (B, C, D) and biases (B, C) for features that are not centred."""
        point = points.view(self.problems, self.classes, -1)
        matrix, bias = point[..., :-1].clone(), point[..., -1].clone()
        if self.multi:
            total = self.total[:, None]
            constant = ((self.positive + 0.5) / (total - self.positive + 0.5)).log()
        else:
            normaliser = self._probabilities(points, torch.arange(self.problems), self.rows)[1]
            level = (normaliser * self.weights).sum(1) / self.total
            constant = (level - (self.total + self.classes).log())[:, None].expand_as(bias)
        bias = torch.where(self.seen, bias, constant)
        matrix *= self.seen[..., None]
        if self.basis is not None:
            matrix = matrix @ self.basis
        bias -= torch.where(self.seen, matrix @ self.mean, torch.zeros_like(bias))
        return matrix.float().numpy(), bias.float().numpy()


def match_classes(have: Sequence[str], want: Sequence[str]) -> NDArray[np.int64]:
    """Return for each wanted class its column in `have`, or -1."""
    column = {key: index for index, key in enumerate(have)}
    return np.array([column.get(key, -1) for key in want], dtype=np.int64)
