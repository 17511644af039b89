"""The published window: from a round's files to queue entries. Runs in workers and, for refills, in web processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.compose import Served, exploration_order
from annotator.items.models import Item
from annotator.labeling.queue import Candidate
from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from annotator.learning.pool import unpack_rows
from annotator.learning.reasons import reason_of
from annotator.learning.stream import FINISH, RANKED, UNSCORED, Stream, compose_window
from annotator.projects.models import Project

LEAST, BATCHES = 2_000, 20
SUGGESTED = 3
KINDS = {UNSCORED: "unscored", FINISH: "finish"}


class Window:
    """The next part of a round's ranking: `candidates()` to publish, and where the next part begins."""

    def __init__(self, round_: Round, folder: Path | None = None, *, item_ids: npt.NDArray[Any] | None = None) -> None:
        self.round = round_
        self.folder = folder or round_folder(round_.project_id, round_.number)
        self._item_ids = item_ids
        self._stream = Stream(*(load_array(self.folder / f"{name}.npy") for name in ("order", "q", "kind")))
        self.size = window_size(int(round_.settings.get("batch_size", 1)))
        self.share = float(round_.settings.get("exploration_share", 0.0))
        self.served = self._compose()

    def _compose(self) -> Served:
        seed = int(self.round.settings["exploration_seed"])
        pool = unpack_rows(load_array(self.folder / "pool.npy"))
        self._part = self._stream.part(self.round.ranked, self.size)
        started = self._stream.rows[self._stream.kind == FINISH]
        fresh = np.setdiff1d(pool, started, assume_unique=True) if len(started) else pool
        explore = exploration_order(seed, fresh, self.round.explored + self.size)[self.round.explored :]
        left = max(0, len(pool) - self.round.ranked - self.round.explored)
        return compose_window(
            self._part,
            explore if self.share > 0 else explore[:0],
            share=self.share,
            size=self.size,
            n_pool=left,
            seed=self.round.seed,
            part=self.round.ranked + self.round.explored,
        )

    @property
    def ranked(self) -> int:
        """How far the ranking is published once this window is."""
        taken = self.served.ids[~self.served.explore]
        places = np.flatnonzero(np.isin(self._part.rows, taken))
        return self.round.ranked + (int(places[-1]) + 1 if len(places) else 0)

    @property
    def explored(self) -> int:
        return self.round.explored + int(self.served.explore.sum())

    def candidates(self) -> Iterator[Candidate]:
        rows = self.served.ids
        utility = np.asarray(load_array(self.folder / "utility.npy")[rows], dtype=np.float64)
        proba, keys = self._probabilities(rows), list(self.round.settings["class_keys"])
        told = json.loads((self.folder / "head.json").read_text(encoding="utf-8"))["reasons"]
        kind_of = dict(zip(self._part.rows.tolist(), self._part.kind.tolist(), strict=True))
        ids = self._ids(rows)
        common = {
            "round": self.round.number,
            "seed": self.round.seed,
            "strategy": self.round.strategy_json(),
            "model": self.round.model.number if self.round.model else None,
        }
        first_rank = self.round.ranked + self.round.explored
        for place, row in enumerate(rows.tolist()):
            explore = bool(self.served.explore[place])
            kind = "exploration" if explore else KINDS.get(kind_of.get(row, RANKED), "ranked")
            worth = None if np.isnan(utility[place]) else round(float(utility[place]), 6)
            served = common | {
                "rank": first_rank + place,
                "utility": worth,
                "propensity": float(f"{self.served.propensity[place]:.6g}"),
                "exploration": explore,
                "reason": reason_of(
                    kind, self.round, told.get(str(row)), None if proba is None else proba[place], keys, worth
                ),
            }
            if ids[place]:
                yield Candidate(int(ids[place]), served, self._suggestion(proba, place, keys))

    def _suggestion(
        self, proba: npt.NDArray[Any] | None, place: int, keys: list[str]
    ) -> dict[str, Any] | None:
        if proba is None or self.round.model is None or np.isnan(proba[place]).any():
            return None
        best = np.argsort(-proba[place], kind="stable")[:SUGGESTED]
        classes = {keys[index]: round(float(proba[place, index]), 4) for index in best}
        return {"model": self.round.model.number, "classes": classes}

    def _probabilities(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        path = self.folder / "proba.npy"
        return np.asarray(load_array(path)[rows], dtype=np.float32) if path.exists() else None

    def _ids(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._item_ids is not None:
            return self._item_ids[rows]
        found = dict(
            Item.objects.filter(project_id=self.round.project_id, row__in=rows.tolist()).values_list("row", "pk")
        )
        return np.array([found.get(row, 0) for row in rows.tolist()], dtype=np.int64)


def window_size(batch_size: int) -> int:
    return max(LEAST, BATCHES * batch_size)


def overlap_of(project_id: int) -> int:
    return Project.objects.values_list("overlap", flat=True).get(pk=project_id)
