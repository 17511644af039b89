"""What the steps of one round share: its files, and arrays that are loaded when first asked for.

A step may rely on the files of earlier steps only; what is cached here saves reading them again in the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.items.features import FeatureStore, open_store
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import Round
from annotator.learning.offers import asked_rows
from annotator.learning.pool import ServablePool, servable_pool
from annotator.projects.models import LabelSchema, Project
from models_zoo.checkpoints import SavedHead, load_head

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Training:
    """rows (n,), targets (n,) or (n, C), share (n,): which of them belong to the random share."""

    rows: Ints
    targets: npt.NDArray[Any]
    share: npt.NDArray[np.bool_]

    def only(self, mask: npt.NDArray[np.bool_]) -> Training:
        return Training(self.rows[mask], self.targets[mask], self.share[mask])


@dataclass
class Work:
    """One run of a round. `progress(done, total)` may raise; `should_stop()` says whether a person asked to."""

    round: Round
    progress: Callable[[int, int], None]
    should_stop: Callable[[], bool]
    keep: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        folder = round_folder(self.round.project_id, self.round.number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def project(self) -> Project:
        return Project.objects.get(pk=self.round.project_id)

    @property
    def settings(self) -> dict[str, Any]:
        """What the freeze wrote down: settings in force, schema, encoding."""
        settings: dict[str, Any] = self.round.settings
        return settings

    @cached_property
    def schema(self) -> LabelSchema:
        return LabelSchema.objects.get(pk=self.settings["schema"])

    @cached_property
    def members_path(self) -> Path:
        """Where the committee of this round is kept."""
        return self.folder / "members.npz"

    @cached_property
    def outlier(self) -> int | None:
        """Index of the class that means 'none of these', if the schema has one."""
        marked = self.schema.classes.filter(is_outlier=True, active=True).values_list("key", flat=True)
        return next((self.class_keys.index(key) for key in marked if key in self.class_keys), None)

    @property
    def class_keys(self) -> tuple[str, ...]:
        return tuple(self.settings["class_keys"])

    @property
    def multi(self) -> bool:
        return self.project.task == Project.Task.MULTI

    @cached_property
    def store(self) -> FeatureStore | None:
        """The features that this round uses, if there are any."""
        digest = self.settings.get("encoder_digest")
        return open_store(self.round.project_id, digest) if digest else None

    @cached_property
    def encoded(self) -> npt.NDArray[np.bool_]:
        """Which rows (n_rows,) have features; fixed at first sight, so that signals and rank agree."""
        if self.store is None:
            return np.zeros(self.round.n_rows, dtype=bool)
        return self.store.has(np.arange(self.round.n_rows))

    @cached_property
    def training(self) -> Training:
        with np.load(self.folder / "training.npz", allow_pickle=False) as saved:
            return Training(saved["rows"], saved["targets"], saved["share"])

    @cached_property
    def trainable(self) -> Training:
        """Labels whose items have features."""
        return self.training.only(self.encoded[self.training.rows])

    @cached_property
    def trainable_features(self) -> npt.NDArray[np.float32]:
        assert self.store is not None
        return self.store.features_of(self.trainable.rows).astype(np.float32)

    @cached_property
    def head(self) -> SavedHead:
        assert self.round.model is not None
        return load_head(weights_path(self.round.project_id, self.round.model.number))

    @cached_property
    def asked(self) -> Ints:
        """Fresh rows that a stream kept for labelling, in the order in which they came."""
        found = asked_rows(self.round.project_id, self.round.n_rows)
        return found[np.isin(found, self.pool.fresh)]

    @cached_property
    def pool(self) -> ServablePool:
        return servable_pool(self.round.project_id, n_rows=self.round.n_rows)
