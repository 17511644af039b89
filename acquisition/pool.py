"""What a strategy may see: the unlabelled pool and the labelled set, checked once, here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.arrays import (
    Array,
    Ints,
    is_array,
    is_floating,
    map_classes_first,
    namespace,
    take_rows,
    to_numpy,
)
from acquisition.committee import map_draws
from acquisition.errors import PoolError

SIGNALS = ("proba", "draws", "previous", "features", "cost", "group")
_ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that may be chosen, each signal aligned with `ids`; PoolError at construction if anything is off.

    ids (n,) distinct integers. proba (n, C) float32 or wider: rows sum to 1, or with `multi_label` each entry is a
    probability of its own. draws (n, C, M): the same from M members. previous (n, C): the same from the model of the
    round before, rows of NaN where it had none. features (n, D), any float, finite where used. cost (n,) > 0. group
    (n,) integers (document, scene, camera). All of these but cost and group may be numpy or torch. outlier: index of
    the class that means 'none of these', if there is one.
    """

    ids: Ints
    proba: Array | None = None
    draws: Array | None = None
    previous: Array | None = None
    features: Array | None = None
    cost: npt.NDArray[np.float64] | None = None
    group: Ints | None = None
    multi_label: bool = False
    outlier: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _checked_ids("Pool.ids", self.ids))
        n = len(self.ids)
        if self.proba is not None:
            _check_shape("Pool.proba", self.proba, n, dimensions=2)
            _check_probabilities("Pool.proba", self.proba, multi_label=self.multi_label)
        if self.draws is not None:
            _check_shape("Pool.draws", self.draws, n, dimensions=3)
            _check_draws("Pool.draws", self.draws, multi_label=self.multi_label)
        if self.previous is not None:
            _check_shape("Pool.previous", self.previous, n, dimensions=2)
            _check_known_probabilities("Pool.previous", self.previous, multi_label=self.multi_label)
        self._check_classes()
        if self.features is not None:
            _check_features("Pool.features", self.features, n)
        if self.cost is not None:
            object.__setattr__(self, "cost", _checked_cost(self.cost, n))
        if self.group is not None:
            object.__setattr__(self, "group", _checked_integers("Pool.group", self.group))
            _check_shape("Pool.group", self.group, n, dimensions=1)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def signals(self) -> frozenset[str]:
        """Names of the signals that exist."""
        return frozenset(name for name in SIGNALS if getattr(self, name) is not None)

    @property
    def task(self) -> str:
        return "multi" if self.multi_label else "single"

    @property
    def n_classes(self) -> int | None:
        """Classes of the probabilities, or None where there are none."""
        for scored in (self.proba, self.draws, self.previous):
            if scored is not None:
                return int(scored.shape[1])
        return None

    def take(self, positions: npt.NDArray[Any]) -> "Pool":
        """The pool of the rows at these positions, in this order."""
        rows: dict[str, Any] = {
            name: take_rows(value, positions)
            for name in ("ids", *SIGNALS)
            if (value := getattr(self, name)) is not None
        }
        return Pool(**rows, multi_label=self.multi_label, outlier=self.outlier)

    def _check_classes(self) -> None:
        for name in ("draws", "previous"):
            value = getattr(self, name)
            if value is not None and value.shape[1] != self.n_classes:
                raise PoolError(f"Pool.{name} has {value.shape[1]} classes, not {self.n_classes}.")
        if self.outlier is None:
            return
        if isinstance(self.outlier, bool) or not isinstance(self.outlier, int | np.integer):
            raise PoolError(f"Pool.outlier must be the index of a class, not {self.outlier!r}.")
        if self.outlier < 0 or (self.n_classes is not None and self.outlier >= self.n_classes):
            raise PoolError(f"Pool.outlier is {self.outlier}, which is the index of no class.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Labeled:
    """What is known: ids (l,), features (l, D), targets (l,) class indices or, with `multi_label`, bool (l, C).

    proba (l, C): what the current model says about them, rows of NaN where it cannot say.
    """

    ids: Ints
    n_classes: int
    features: Array | None = None
    proba: Array | None = None
    targets: npt.NDArray[Any] | None = None
    multi_label: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _checked_ids("Labeled.ids", self.ids))
        if self.n_classes < 1:
            raise PoolError(f"Labeled.n_classes is {self.n_classes}; at least one class is needed.")
        if self.features is not None:
            _check_features("Labeled.features", self.features, len(self))
        if self.proba is not None:
            _check_shape("Labeled.proba", self.proba, len(self), dimensions=2)
            if self.proba.shape[1] != self.n_classes:
                raise PoolError(f"Labeled.proba has {self.proba.shape[1]} classes, not {self.n_classes}.")
            _check_known_probabilities("Labeled.proba", self.proba, multi_label=self.multi_label)
        if self.targets is not None:
            object.__setattr__(self, "targets", self._checked_targets(to_numpy(self.targets)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def task(self) -> str:
        return "multi" if self.multi_label else "single"

    def class_counts(self) -> Ints:
        """Labelled items of each class (C,); PoolError without targets."""
        if self.targets is None:
            raise PoolError("Labeled.targets were not given.")
        if self.multi_label:
            return np.asarray(self.targets.sum(axis=0), dtype=np.int64)
        return np.asarray(np.bincount(self.targets, minlength=self.n_classes), dtype=np.int64)

    def _checked_targets(self, targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.multi_label:
            if targets.shape != (len(self), self.n_classes) or targets.dtype != np.bool_:
                raise PoolError(
                    f"Labeled.targets must be bool ({len(self)}, {self.n_classes}), not {targets.dtype} {targets.shape}."
                )
            return targets
        targets = _checked_integers("Labeled.targets", targets)
        _check_shape("Labeled.targets", targets, len(self), dimensions=1)
        if len(targets) and not (targets.min() >= 0 and targets.max() < self.n_classes):
            raise PoolError(f"Labeled.targets must lie in 0..{self.n_classes - 1}.")
        return targets


def check_pair(pool: Pool, labeled: Labeled) -> None:
    """PoolError unless the two describe one project: task, classes, feature width, no common id."""
    if pool.multi_label != labeled.multi_label:
        raise PoolError(f"The pool is {pool.task}-label, the labelled set {labeled.task}-label.")
    if pool.n_classes is not None and pool.n_classes != labeled.n_classes:
        raise PoolError(f"The pool has {pool.n_classes} classes, the labelled set {labeled.n_classes}.")
    widths = [known.features.shape[1] for known in (pool, labeled) if known.features is not None]
    if len(set(widths)) > 1:
        raise PoolError(f"Pool.features have width {widths[0]}, Labeled.features {widths[1]}.")
    for name in ("features", "proba"):
        ours, theirs = getattr(pool, name), getattr(labeled, name)
        if ours is not None and theirs is not None and namespace(ours) is not namespace(theirs):
            raise PoolError(f"Pool.{name} and Labeled.{name} belong to different array libraries.")
    if len(labeled) and len(pool):
        common = labeled.ids[np.isin(labeled.ids, pool.ids)]
        if len(common):
            raise PoolError(f"{len(common)} labelled items are in the pool, the first is {common[0]}.")


def _checked_integers(name: str, values: Array) -> Ints:
    array = to_numpy(values)
    if array.size and array.dtype.kind not in "iu":
        raise PoolError(f"{name} must be integers, not {array.dtype}.")
    return array.astype(np.int64, copy=False)


def _checked_ids(name: str, values: Array) -> Ints:
    ids = _checked_integers(name, values)
    if ids.ndim != 1:
        raise PoolError(f"{name} must have one dimension, not shape {ids.shape}.")
    # Ids usually come sorted; only if not is the price of a sort paid.
    if not bool(np.all(ids[1:] > ids[:-1])) and len(np.unique(ids)) != len(ids):
        raise PoolError(f"{name} must be distinct.")
    return ids


def _checked_cost(cost: Array, n: int) -> npt.NDArray[np.float64]:
    values = to_numpy(cost).astype(np.float64, copy=False)
    _check_shape("Pool.cost", values, n, dimensions=1)
    if not bool(np.all(np.isfinite(values) & (values > 0))):
        raise PoolError("Pool.cost must be finite and above zero.")
    return values


def _check_shape(name: str, array: Array, n: int, *, dimensions: int) -> None:
    if not is_array(array):
        raise PoolError(f"{name} must be an array, not {type(array).__name__}.")
    if array.ndim != dimensions or array.shape[0] != n or 0 in array.shape[1:]:
        expected = ", ".join([str(n), "C", "M"][:dimensions])
        raise PoolError(f"{name} must have shape ({expected}), not {tuple(array.shape)}.")


def _check_features(name: str, features: Array, n: int) -> None:
    _check_shape(name, features, n, dimensions=2)
    if not is_floating(features):
        raise PoolError(f"{name} must be floating, not {features.dtype}.")


def _check_known_probabilities(name: str, proba: Array, *, multi_label: bool) -> None:
    """As `_check_probabilities`, where a whole row may be NaN: nothing is known of it."""
    if not is_floating(proba):
        raise PoolError(f"{name} must be float32 or float64, not {proba.dtype}.")
    xp = namespace(proba)
    known = ~to_numpy(xp.all(xp.isnan(proba), axis=1))
    rows = proba if known.all() else take_rows(proba, np.flatnonzero(known))
    _check_probabilities(name, rows, multi_label=multi_label)


def _check_draws(name: str, draws: Array, *, multi_label: bool) -> None:
    """As `_check_probabilities`, for each member, in one pass over memory for each bound."""
    _check_precision(name, draws)
    if draws.shape[0] == 0:
        return
    xp = namespace(draws)

    def reduced(block: Array) -> Array:
        return xp.max(block, axis=0) if multi_label else xp.sum(block, axis=0)

    high = map_draws(lambda block: xp.max(reduced(block), axis=0), draws)
    least = map_draws(lambda block: xp.min(reduced(block), axis=0), draws)
    _check_bounds(
        name, float(xp.min(draws)), float(xp.max(high)), float(xp.min(least)), multi_label=multi_label
    )


def _check_probabilities(name: str, proba: Array, *, multi_label: bool) -> None:
    """Non-negative, finite, summing to 1 or each at most 1; half precision is refused, its entropies underflow."""
    _check_precision(name, proba)
    if proba.shape[0] == 0:
        return
    xp = namespace(proba)
    reduced = map_classes_first(
        lambda block: xp.max(block, axis=0) if multi_label else xp.sum(block, axis=0), proba
    )
    _check_bounds(
        name,
        float(xp.min(proba)),
        float(xp.max(reduced)),
        float(xp.min(reduced)),
        multi_label=multi_label,
    )


def _check_precision(name: str, proba: Array) -> None:
    if not is_floating(proba) or proba.dtype.itemsize < 4:
        raise PoolError(f"{name} must be float32 or float64, not {proba.dtype}.")


def _check_bounds(name: str, low: float, high: float, least: float, *, multi_label: bool) -> None:
    # A sum with a NaN or an infinity in it is not finite, and comparisons with NaN are false.
    if not low >= 0 or not high <= 1 + _ROW_SUM_TOLERANCE:
        raise PoolError(f"{name} must hold finite probabilities; found values outside 0..1 or rows above 1.")
    if not multi_label and not least >= 1 - _ROW_SUM_TOLERANCE:
        raise PoolError(
            f"{name} rows must sum to 1; the smallest sum is {least:.4g}. Is the task multi-label?"
        )
