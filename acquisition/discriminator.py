"""A small classifier of two sets of rows: logistic regression on random cosine features, by Newton's method."""

from dataclasses import dataclass

import array_api_compat
import numpy as np

from acquisition.arrays import Array, namespace, on_cpu, to_numpy
from acquisition.space import blocks, make_space

WIDTH = 256
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
        angles = rows @ self.directions
        angles += self.phases[None, :]
        ones = xp.ones((rows.shape[0], 1), dtype=rows.dtype, device=array_api_compat.device(rows))
        return xp.concat([xp.cos(angles) * (2 / self.phases.shape[0]) ** 0.5, ones], axis=1)


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


def fit(mapping: CosineMap, ours: Array, theirs: Array, start: Array | None = None) -> Array:
    """Weights (W + 1,) that tell `theirs` (m, D) from `ours` (l, D); both sides weigh alike. `start`: where to begin."""
    xp = namespace(ours)
    rows = xp.concat([mapping(ours), mapping(theirs)])
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


def probability(mapping: CosineMap, rows: Array, weights: Array) -> Array:
    """(n,): how sure it is that a row is one of `theirs`."""
    xp = namespace(rows)
    parts = blocks(rows.shape[0], weights.shape[0], cpu=on_cpu(rows))
    return xp.concat([_sigmoid(mapping(rows[start:stop, :]) @ weights) for start, stop in parts])


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
