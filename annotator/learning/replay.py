"""Replay a round: the same list again from what was kept, or what is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from annotator.learning.arrays import load_array
from annotator.learning.folders import round_folder
from annotator.learning.models import Round
from annotator.learning.pool import ServablePool, unpack_rows
from annotator.learning.replayable import check_replayable
from annotator.learning.steps.rank import rank, read_stream
from annotator.learning.stream import random_stream
from annotator.learning.work import Ints, Work


@dataclass(frozen=True, eq=False)
class Replay:
    """rows (n,) as ranked again; `same` compares them with the round's own file, None where that was pruned."""

    rows: Ints
    same: bool | None


def replay_round(
    round_: Round,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Replay:
    """Rank again with the round's model, features, pool and seed; Conflict names what is not kept any more.

    `progress(done, total)` may raise; `should_stop()` ends it with Cancelled.
    """
    check_replayable(round_)
    folder = round_folder(round_.project_id, round_.number)
    rows = (
        _opening(round_, folder)
        if "opening" in round_.settings
        else _ranked(round_, folder, progress, should_stop)
    )
    if not (folder / "order.npy").exists():
        return Replay(rows, None)
    return Replay(rows, bool(np.array_equal(rows, read_stream(folder).rows)))


def _opening(round_: Round, folder: Path) -> Ints:
    pool = unpack_rows(load_array(folder / "pool.npy"))
    return random_stream(pool, int(round_.settings["exploration_seed"])).rows


def _ranked(
    round_: Round, folder: Path, progress: Callable[[int, int], None], should_stop: Callable[[], bool]
) -> Ints:
    """The rank step in a folder of its own, on the pool and the encoded rows of then."""
    with TemporaryDirectory(dir=folder.parent, prefix="replay-") as temporary:
        work = Work(round_, progress=progress, should_stop=should_stop)
        with np.load(folder / "state.npz", allow_pickle=False) as state:
            encoded, started = np.unpackbits(state["encoded"])[: round_.n_rows], state["started"]
            asked = state["asked"] if "asked" in state else started[:0]
        rows = unpack_rows(load_array(folder / "pool.npy"))
        fresh = np.setdiff1d(rows, started, assume_unique=True)
        known = vars(work)  # cached properties: given here instead of being asked from the database of today
        known["training"] = Work(round_, work.progress, work.should_stop).training
        known["folder"] = Path(temporary)
        known["members_path"] = folder / "members.npz"
        known["asked"] = asked
        known["encoded"] = encoded.astype(bool)
        known["pool"] = ServablePool(fresh, started, np.zeros(round_.n_rows, dtype=np.int64))
        rank(work)
        return np.array(read_stream(Path(temporary)).rows, dtype=np.int64)
