"""Minimise many smooth convex functions at once: L-BFGS with a batch dimension.

torch's own optimiser takes one problem at a time; folds and strengths of a cross-validation share their data, so one
matrix product serves them all. Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Precondition = Callable[[Tensor], Tensor]

_SUFFICIENT = 1e-4
_SHORTEST_STEP = 1e-10
# Where rounding stops the search with less than this part of the value left, the minimum counts as found.
_ROUNDING = 1e-5


class Minimum(NamedTuple):
    """`x` (B, P); `iterations` of the slowest problem; `converged` (B,)."""

    x: Tensor
    iterations: int
    converged: Tensor


class _History:
    """The last `size` pairs (step, change of gradient) of each problem; a pair of zeros has no effect."""

    def __init__(self, size: int, start: Tensor) -> None:
        self.size = size
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []
        self.inverse: list[Tensor] = []
        self.scale = torch.ones(len(start), dtype=start.dtype)

    def add(self, step: Tensor, change: Tensor, precondition: Precondition) -> None:
        curvature = (step * change).sum(1)
        good = curvature > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
        step, change = step * good[:, None], change * good[:, None]
        curvature = torch.where(good, curvature, torch.ones_like(curvature))
        self.steps.append(step)
        self.changes.append(change)
        self.inverse.append(1 / curvature)
        spread = (change * precondition(change)).sum(1)
        self.scale = torch.where(good, curvature / spread.clamp_min(1e-30), self.scale)
        if len(self.steps) > self.size:
            del self.steps[0], self.changes[0], self.inverse[0]

    def keep(self, rows: Tensor) -> None:
        self.steps = [value[rows] for value in self.steps]
        self.changes = [value[rows] for value in self.changes]
        self.inverse = [value[rows] for value in self.inverse]
        self.scale = self.scale[rows]

    def direction(self, gradient: Tensor, precondition: Precondition) -> Tensor:
        """Two-loop recursion: minus the inverse Hessian estimate times the gradient."""
        q = gradient.clone()
        alphas = []
        for step, change, inverse in zip(
            reversed(self.steps), reversed(self.changes), reversed(self.inverse), strict=True
        ):
            alpha = inverse * (step * q).sum(1)
            q -= alpha[:, None] * change
            alphas.append(alpha)
        q = precondition(q) * self.scale[:, None]
        for step, change, inverse, alpha in zip(
            self.steps, self.changes, self.inverse, reversed(alphas), strict=True
        ):
            beta = inverse * (change * q).sum(1)
            q += (alpha - beta)[:, None] * step
        return -q


def minimise(
    objective: Objective,
    start: Tensor,
    *,
    precondition: Precondition,
    tolerance: float,
    max_iterations: int = 200,
    memory: int = 10,
) -> Minimum:
    """Minimise B functions of P variables from `start` (B, P).

    `objective(x, which)` returns values (b,) in float64 and gradients (b, P) of the problems `which` (b,);
    `precondition(g)` applies an estimate of the inverse Hessian. A problem is done when two estimates in a row say
    that less than `tolerance` remains to be gained, or when no step makes it smaller. Finished problems cost no more.
    """
    result = start.clone()
    converged = torch.zeros(len(start), dtype=torch.bool)
    which = torch.arange(len(start))
    x, history = start.clone(), _History(memory, start)
    value, gradient = objective(x, which)
    calm = torch.zeros(len(start), dtype=torch.int64)
    for iteration in range(max_iterations):
        direction = history.direction(gradient, precondition)
        slope = (gradient * direction).sum(1, dtype=torch.float64)
        calm = torch.where(-slope / 2 < tolerance, calm + 1, torch.zeros_like(calm))
        moved, new_value, new_gradient, stuck = _line_search(
            objective, x, value, gradient, direction, slope, which
        )
        history.add(moved - x, new_gradient - gradient, precondition)
        x, value, gradient = moved, new_value, new_gradient
        done = (calm >= 2) | stuck
        if bool(done.any()):
            result[which[done]] = x[done]
            converged[which[done]] = ((calm >= 2) | (-slope / 2 <= _ROUNDING * value.abs()))[done]
            rest = ~done
            if not bool(rest.any()):
                return Minimum(result, iteration + 1, converged)
            history.keep(rest)
            which, x, value, gradient, calm = which[rest], x[rest], value[rest], gradient[rest], calm[rest]
    result[which] = x
    return Minimum(result, max_iterations, converged)


def _line_search(
    objective: Objective,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    direction: Tensor,
    slope: Tensor,
    which: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Backtrack each problem until it is sufficiently smaller; return point, value, gradient and 'stuck' (b,)."""
    slack = 1e-7 * value.abs() if x.dtype == torch.float32 else 1e-15 * value.abs()
    moved, length = x + direction, torch.ones_like(slope)
    new_value, new_gradient = objective(moved, which)
    wrong = new_value > value + _SUFFICIENT * slope + slack
    while bool(wrong.any()):
        rows = wrong.nonzero()[:, 0]
        # The minimum of the parabola through the value, the slope and the value at the failed step.
        step, down = length[rows], slope[rows]
        rise = new_value[rows] - value[rows] - down * step
        length[rows] = (-down * step * step / (2 * rise)).clamp(min=0.1 * step, max=0.5 * step)
        moved[rows] = x[rows] + length[rows, None].to(x.dtype) * direction[rows]
        again, slopes = objective(moved[rows], which[rows])
        new_value[rows], new_gradient[rows] = again, slopes
        wrong[rows] = (again > value[rows] + _SUFFICIENT * length[rows] * down + slack[rows]) & (
            length[rows] > _SHORTEST_STEP
        )
    stuck = (length <= _SHORTEST_STEP) | (slope >= 0)
    moved[stuck], new_value[stuck], new_gradient[stuck] = x[stuck], value[stuck], gradient[stuck]
    return moved, new_value, new_gradient, stuck
