"""A small classifier of two sets of rows: logistic regression on random cosine features, by Newton's method."""

from dataclasses import dataclass

import array_api_compat
import numpy as np

from acquisition.arrays import Array, namespace, on_cpu, to_numpy
from acquisition.space import blocks, make_space

WIDTH = 128
# Rows among which the typical distance is measured.
_PROBES = 500
_RIDGE = 1e-3
_STEPS = 15
_HALVINGS = 8
_SETTLED = 1e-5


@dataclass(frozen=True, eq=False)
class CosineMap:
    """directions (D, W) and phases (W,): cos(x directions + phases), whose products approximate a Gaussian kernel.

    Source: Rahimi and Recht 2007, 'Random features for large-scale kernel machines'.
    """

    directions: Array
    phases: Array

    def __call__(self, rows: Array) -> Array:
        """(n, W + 1) of rows (n, D), the last column ones."""
        xp = namespace(rows)
        width = self.phases.shape[0]
        mapped = xp.ones((rows.shape[0], width + 1), dtype=rows.dtype, device=array_api_compat.device(rows))
        for start, stop in blocks(rows.shape[0], width, cpu=on_cpu(rows)):
            angles = rows[start:stop, :] @ self.directions
            angles += self.phases[None, :]
            mapped[start:stop, :width] = xp.cos(angles) * (2 / width) ** 0.5
        return mapped


def make_map(rows: Array, rng: np.random.Generator, *, width: int = WIDTH) -> CosineMap:
    """A map for rows like these (n, D): the kernel is as wide as the median distance among the first of them.

    Of at most `width` directions, and no more than there are rows.
    """
    xp = namespace(rows)
    width = max(1, min(width, rows.shape[0]))
    some = make_space(rows[:_PROBES, :])
    squared = to_numpy(some.squared_to(some)).astype(np.float64)
    apart = squared[np.triu_indices(len(some), 1)]
    typical = float(np.sqrt(max(0.0, np.median(apart)))) if len(apart) else 0.0
    directions = rng.normal(size=(rows.shape[1], width)) / (typical or 1.0)
    device = array_api_compat.device(rows)
    return CosineMap(
        xp.asarray(directions, dtype=rows.dtype, device=device),
        xp.asarray(rng.uniform(0, 2 * np.pi, width), dtype=rows.dtype, device=device),
    )


def fit(ours: Array, theirs: Array, start: Array | None = None) -> Array:
    """Weights (W,) that tell mapped rows `theirs` (m, W) from `ours` (l, W); both sides weigh alike.

    `start`: weights to begin with.
    """
    xp = namespace(ours)
    rows = xp.concat([ours, theirs])
    device = array_api_compat.device(rows)
    first = xp.arange(rows.shape[0], device=device) < ours.shape[0]
    ones = xp.ones((rows.shape[0],), dtype=rows.dtype, device=device)
    # Every row is turned to the side of `theirs`, so that all of them want a large product.
    rows = rows * xp.where(first, -ones, ones)[:, None]
    mass = xp.where(first, ones * (0.5 / ours.shape[0]), ones * (0.5 / theirs.shape[0]))
    ridge = xp.full((rows.shape[1],), _RIDGE, dtype=rows.dtype, device=device)
    weights = xp.zeros_like(ridge) if start is None else start
    loss = _loss(rows, mass, ridge, weights)
    for _ in range(_STEPS):
        wrong = _sigmoid(-(rows @ weights))
        slope = ridge * weights - (mass * wrong) @ rows
        curved = rows * (mass * wrong * (1 - wrong))[:, None]
        step = xp.linalg.solve(xp.permute_dims(rows, (1, 0)) @ curved + _diagonal(ridge), slope)
        before = loss
        for _ in range(_HALVINGS):
            loss = _loss(rows, mass, ridge, weights - step)
            if loss <= before:
                break
            step = 0.5 * step
        weights = weights - step
        if before - loss <= _SETTLED * before:
            break
    return weights


def probability(rows: Array, weights: Array) -> Array:
    """(n,): how sure it is that a mapped row is one of `theirs`."""
    return _sigmoid(rows @ weights)


def _loss(rows: Array, mass: Array, ridge: Array, weights: Array) -> float:
    xp = namespace(rows)
    margin = rows @ weights
    misfit = xp.logaddexp(xp.zeros_like(margin), -margin)
    return float(xp.sum(mass * misfit) + 0.5 * xp.sum(ridge * weights * weights))


def _sigmoid(values: Array) -> Array:
    xp = namespace(values)
    return 1 / (1 + xp.exp(-xp.clip(values, min=-60.0, max=60.0)))


def _diagonal(values: Array) -> Array:
    xp = namespace(values)
    eye = xp.eye(values.shape[0], dtype=values.dtype, device=array_api_compat.device(values))
    return eye * values[:, None]
