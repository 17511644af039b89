"""The learner of the fast lane: a linear head over the features of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models_zoo import checkpoints, tuning
from models_zoo.errors import NotFitted
from models_zoo.head import DEFAULT_STRENGTH, HeadState, fit_head
from models_zoo.metrics import Evaluation, evaluate
from models_zoo.tuning import Tuning


@runtime_checkable
class Learner(Protocol):
    """Learns classes from samples and gives strategies the signals that they need (`provides`)."""

    @property
    def provides(self) -> tuple[str, ...]: ...

    def fit(self, samples: Any, targets: NDArray[Any]) -> Any: ...

    def signals(self, samples: Any, wanted: Sequence[str]) -> dict[str, NDArray[Any]]: ...

    def save(
        self, path: Path, *, encoder: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> str: ...


class HeadLearner:
    """Fits, measures and applies a head; samples are feature rows (n, D) of one encoder.

    `state` is the head last fitted or loaded, `strength` and `temperature` what the next fit uses.
    """

    provides = ("proba", "features")

    def __init__(
        self,
        class_keys: Sequence[str],
        *,
        multi: bool = False,
        strength: float = DEFAULT_STRENGTH,
        temperature: float = 1.0,
    ) -> None:
        self.class_keys = tuple(class_keys)
        self.multi = multi
        self.strength = strength
        self.temperature = temperature
        self.state: HeadState | None = None

    def tune(
        self, samples: NDArray[Any], targets: NDArray[Any], *, tune_mask: NDArray[np.bool_], seed: int = 0
    ) -> Tuning:
        """Choose strength and temperature by cross-validation on the rows of `tune_mask` alone."""
        found = tuning.tune_head(
            samples, targets, self.class_keys, multi=self.multi, tune_mask=tune_mask, seed=seed
        )
        if found.tuned:
            self.strength, self.temperature = found.strength, found.temperature
        return found

    def fit(
        self,
        samples: NDArray[Any],
        targets: NDArray[Any],
        *,
        sample_weight: NDArray[np.floating] | None = None,
    ) -> HeadState:
        """Fit the head, starting from the one before; raises NotEnoughData with fewer than two classes."""
        self.state = fit_head(
            samples,
            targets,
            self.class_keys,
            multi=self.multi,
            strength=self.strength,
            temperature=self.temperature,
            sample_weight=sample_weight,
            init=self.state,
        )
        return self.state

    def evaluate(
        self,
        samples: NDArray[Any],
        targets: NDArray[Any],
        *,
        share: NDArray[np.bool_],
        folds: int = 5,
        seed: int = 0,
        sample_weight: NDArray[np.floating] | None = None,
    ) -> Evaluation:
        """Measure on the rows of `share`, each scored by a head that has not seen it; the other rows only teach."""
        rows = np.flatnonzero(share)
        targets = np.asarray(targets)
        assigned = np.full(len(targets), -1, dtype=np.int64)
        rng = np.random.default_rng(seed)
        assigned[rows] = tuning.stratified_folds(targets[rows], folds, rng, multi=self.multi)
        scores = tuning.cross_fit(
            samples,
            targets,
            self.class_keys,
            assigned,
            multi=self.multi,
            strength=self.strength,
            sample_weight=sample_weight,
            init=self.state,
        )[rows]
        proba = tuning.probabilities(scores / self.temperature, multi=self.multi)
        return evaluate(proba, targets[rows], self.class_keys, multi=self.multi, seed=seed)

    def signals(self, samples: NDArray[Any], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the wanted arrays by name: 'proba' (n, C) float32, 'features' (n, D) as they are."""
        unknown = sorted(set(wanted) - set(self.provides))
        if unknown:
            raise ValueError(f"a head does not provide {', '.join(unknown)}")
        found: dict[str, NDArray[Any]] = {}
        if "features" in wanted:
            found["features"] = samples
        if "proba" in wanted:
            found["proba"] = self._fitted().predict_proba(samples)
        return found

    def _fitted(self) -> HeadState:
        if self.state is None:
            raise NotFitted("the head has not been fitted yet")
        return self.state

    def save(
        self, path: Path, *, encoder: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> str:
        """Save the head; return the digest of the file's content."""
        return checkpoints.save_head(path, self._fitted(), encoder=encoder, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> HeadLearner:
        """Return the learner that a file describes, or raise CheckpointError."""
        return cls.of(checkpoints.load_head(path).state)

    @classmethod
    def of(cls, state: HeadState) -> HeadLearner:
        """Return a learner that continues from a fitted head."""
        learner = cls(
            state.class_keys, multi=state.multi, strength=state.strength, temperature=state.temperature
        )
        learner.state = state
        return learner
