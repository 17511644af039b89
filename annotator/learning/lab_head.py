"""The product's head as a replay fits it: tuned again when a round would, started from the fit before. For workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.committee import MemberOptions
from acquisition.simulate import Asked
from models_zoo.ensemble import dropout_ensemble, fit_ensemble
from models_zoo.head import HeadState, fit_head
from models_zoo.tuning import retune


class LabHead:
    """`fit_predict` of `acquisition.simulate.replay`, and its `signals`; one for each run."""

    def __init__(self, classes: Sequence[str], seed: int, *, multi: bool = False) -> None:
        self.classes = tuple(classes)
        self.multi = multi
        self.tuning: dict[str, Any] | None = None
        self.state: HeadState | None = None
        self._seed = seed
        self._rng = np.random.default_rng([seed, 1])
        self._known: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None = None

    def __call__(
        self,
        features: Any,
        targets: npt.NDArray[Any],
        queries: Sequence[Any],
        share: npt.NDArray[np.bool_],
    ) -> list[npt.NDArray[np.float32]]:
        """Probabilities (q, C) of each of the queries; `share` (l,): labels that must not choose parameters."""
        rows = np.asarray(features).astype(np.float32)
        self._known = rows, targets
        seed = int(self._rng.integers(2**32))
        if self.multi and not (targets.any(axis=0) & ~targets.all(axis=0)).any():
            # No class tells two items apart yet: what is known is how frequent each is.
            shares = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
            return [np.tile(shares.astype(np.float32), (len(query), 1)) for query in queries]
        self.tuning = retune(
            self.tuning, rows, targets, self.classes, share=share, multi=self.multi, seed=seed
        )
        self.state = fit_head(
            rows,
            targets,
            self.classes,
            multi=self.multi,
            strength=self.tuning["strength"],
            temperature=self.tuning["temperature"],
            init=self.state,
        )
        return [self.state.predict_proba(query) for query in queries]

    def signals(self, asked: Asked, features: Any) -> dict[str, Any]:
        """`signals` of a replay: the committee's draws for who asks for them."""
        if "draws" not in asked.strategy.spec.needs:
            return {}
        return {"draws": self.draws(features, MemberOptions.of(*asked.composition.parts()))}

    def draws(self, features: Any, options: MemberOptions) -> npt.NDArray[np.float32]:
        """Probabilities (n, C, M) of the members that a strategy asks for, of the labels of the last fit."""
        if self.state is None or self._known is None:
            raise ValueError("there is no fit to make members of")
        rows, targets = self._known
        # By the number of labels: a run that goes on where it was broken off draws as if it never had been.
        seed = int(np.random.default_rng([self._seed, 2, len(targets)]).integers(2**32))
        if options.member_kind == "dropout":
            made = dropout_ensemble(
                self.state, rows.mean(axis=0), members=options.members, rate=options.dropout, seed=seed
            )
        else:
            made = fit_ensemble(
                rows,
                targets,
                self.classes,
                members=options.members,
                seed=seed,
                multi=self.multi,
                strength=self.state.strength,
                temperature=self.state.temperature,
                init=self.state,
            )
        return made.predict(np.asarray(features))
