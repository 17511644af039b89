"""The published window: from a round's files to queue entries. Runs in workers and, for refills, in web processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from acquisition.compose import Served, exploration_order, weights_beyond
from annotator.items.models import Item
from annotator.labeling.queue import Candidate
from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from annotator.learning.pool import unpack_rows
from annotator.learning.reasons import class_names, reason_of
from annotator.learning.stream import ASKED, FINISH, HELD, RANKED, UNSCORED, Stream, compose_window

LEAST, BATCHES = 2_000, 20
SUGGESTED = 3
PUBLISH_LOCK = 1_000_003  # second key of the advisory lock; people's ids are far below
KINDS = {UNSCORED: "unscored", FINISH: "finish", HELD: "held_back", ASKED: "asked"}


class Window:
    """The next part of a round's ranking: `candidates()` to publish, and where the next part begins."""

    def __init__(
        self, round_: Round, folder: Path | None = None, *, item_ids: npt.NDArray[Any] | None = None
    ) -> None:
        self.round = round_
        self.folder = folder or round_folder(round_.project_id, round_.number)
        self._item_ids = item_ids
        self._stream = Stream(*(load_array(self.folder / f"{name}.npy") for name in ("order", "q", "kind")))
        self.size = window_size(int(round_.settings.get("batch_size", 1)))
        self.share = float(round_.settings.get("exploration_share", 0.0))
        self.served = self._compose()

    def _compose(self) -> Served:
        seed, ranked, explored = (
            int(self.round.settings["exploration_seed"]),
            self.round.ranked,
            self.round.explored,
        )
        pool = unpack_rows(load_array(self.folder / "pool.npy"))
        started = self._stream.rows[self._stream.kind == FINISH]
        fresh = np.setdiff1d(pool, started, assume_unique=True) if len(started) else pool
        explore = exploration_order(seed, fresh, explored + ranked + self.size)
        gone = np.zeros(self.round.n_rows, dtype=bool)
        gone[self._stream.rows[:ranked]] = True
        gone[explore[:explored]] = True
        self.published = int(gone.sum())
        # Of the rows ahead, at most all that exploration took can be gone.
        ahead = self._stream.part(ranked, self.size + explored)
        kept = np.flatnonzero(~gone[ahead.rows])[: self.size]
        self._part, self._places = ahead.take(kept), ranked + kept
        self._explore_order = explore
        explore = explore[explored:]
        explore = explore[~gone[explore]][: self.size] if self.share > 0 else explore[:0]
        return compose_window(
            self._part,
            explore,
            beyond=self._beyond(explore, ranked),
            share=self.share,
            size=self.size,
            n_pool=len(pool) - self.published,
            seed=self.round.seed,
            part=self.published,
        )

    def _beyond(self, explore: npt.NDArray[np.int64], start: int) -> dict[int, float]:
        """The weight in the ranking of exploration's rows behind this part: unlikely ones must not pass for likely."""
        places = np.full(self.round.n_rows, -1, dtype=np.int64)
        places[self._stream.rows] = np.arange(len(self._stream.rows))
        behind = explore[~np.isin(explore, self._part.rows) & (places[explore] >= start)]
        weights = weights_beyond(np.asarray(self._stream.q), start, places[behind])
        return dict(zip(behind.tolist(), weights.tolist(), strict=True))

    @property
    def ranked(self) -> int:
        """How far the ranking is published once this window is."""
        taken = np.isin(self._part.rows, self.served.ids[~self.served.explore])
        return int(self._places[taken].max(initial=self.round.ranked - 1)) + 1

    @property
    def explored(self) -> int:
        """How far the exploration order is."""
        taken = np.flatnonzero(np.isin(self._explore_order, self.served.ids[self.served.explore]))
        return max(self.round.explored, int(taken.max(initial=-1)) + 1)

    def candidates(self) -> Iterator[Candidate]:
        rows = self.served.ids
        proba, keys = self._probabilities(rows), list(self.round.settings["class_keys"])
        told = json.loads((self.folder / "head.json").read_text(encoding="utf-8"))["reasons"]
        kind_of = dict(zip(self._part.rows.tolist(), self._part.kind.tolist(), strict=True))
        suggestions = self._suggestions(proba, keys)
        names = class_names(self.round.settings["schema"])
        common = {
            "round": self.round.number,
            "seed": self.round.seed,
            "strategy": self.round.strategy_json(),
            "model": self.round.model.number if self.round.model else None,
        }
        columns = zip(
            rows.tolist(),
            self._ids(rows).tolist(),
            self.served.explore.tolist(),
            self.served.propensity.tolist(),
            np.round(load_array(self.folder / "utility.npy")[rows].astype(np.float64), 6).tolist(),
            suggestions,
            strict=True,
        )
        for rank, (row, item_id, explore, propensity, utility, suggestion) in enumerate(
            columns, start=self.published
        ):
            if not item_id:
                continue
            kind = "exploration" if explore else KINDS.get(kind_of.get(row, RANKED), "ranked")
            worth = None if utility != utility else utility
            served = common | {
                "rank": rank,
                "utility": worth,
                "propensity": float(f"{propensity:.6g}"),
                "exploration": explore,
                "reason": reason_of(kind, self.round, told.get(str(row)), suggestion, worth, names),
            }
            # An answer that measures the model must not be led by it.
            yield Candidate(item_id, served, None if explore else suggestion)

    def _suggestions(self, proba: npt.NDArray[Any] | None, keys: list[str]) -> list[dict[str, Any] | None]:
        """What the model would answer: its best classes with their probabilities, None where it cannot say."""
        if proba is None or self.round.model is None:
            return [None] * len(self.served)
        best = np.argsort(-proba, axis=1, kind="stable")[:, :SUGGESTED]
        values = np.round(np.take_along_axis(proba, best, axis=1).astype(np.float64), 4).tolist()
        known = (~np.isnan(proba).any(axis=1)).tolist()
        model = self.round.model.number
        return [
            {"model": model, "classes": dict(zip([keys[c] for c in classes], chances, strict=True))}
            if scored
            else None
            for scored, classes, chances in zip(known, best.tolist(), values, strict=True)
        ]

    def _probabilities(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        path = self.folder / "proba.npy"
        return np.asarray(load_array(path)[rows], dtype=np.float32) if path.exists() else None

    def _ids(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._item_ids is not None:
            return np.asarray(self._item_ids[rows])
        found = dict(
            Item.objects.filter(project_id=self.round.project_id, row__in=rows.tolist()).values_list(
                "row", "pk"
            )
        )
        return np.array([found.get(row, 0) for row in rows.tolist()], dtype=np.int64)


def lock_publishing(project_id: int, *, wait: bool = True) -> bool:
    """Until the transaction ends, nobody else publishes or refills the project's queue; False: somebody does already."""
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [project_id, PUBLISH_LOCK])
        # The function that waits has nothing to say.
        return cursor.fetchone()[0] is not False


def window_size(batch_size: int) -> int:
    return max(LEAST, BATCHES * batch_size)
