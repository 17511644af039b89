"""Replay a round: the same list again from what was kept, or what is gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from annotator.common.errors import Conflict
from annotator.items.features import open_store
from annotator.learning.arrays import load_array
from annotator.learning.earlier import proba_path
from annotator.learning.folders import round_folder, weights_path
from annotator.learning.models import Round
from annotator.learning.pool import ServablePool, unpack_rows
from annotator.learning.steps.rank import rank, read_stream
from annotator.learning.stream import random_stream
from annotator.learning.work import Ints, Work


@dataclass(frozen=True, eq=False)
class Replay:
    """rows (n,) as ranked again; `same` compares them with the round's own file, None where that was pruned."""

    rows: Ints
    same: bool | None


def replay_round(round_: Round) -> Replay:
    """Rank again with the round's model, features, pool and seed; Conflict names what is not kept any more."""
    folder = round_folder(round_.project_id, round_.number)
    if gone := missing_parts(round_, folder):
        raise Conflict(
            f"Round {round_.number} cannot be replayed: {', '.join(gone)} not kept any more.", code="not_kept"
        )
    rows = _opening(round_, folder) if "opening" in round_.settings else _ranked(round_, folder)
    if not (folder / "order.npy").exists():
        return Replay(rows, None)
    return Replay(rows, bool(np.array_equal(rows, read_stream(folder).rows)))


def missing_parts(round_: Round, folder: Path) -> list[str]:
    """What a replay needs and does not find."""
    gone = [] if (folder / "pool.npy").exists() else ["its pool"]
    if round_.model is not None and not weights_path(round_.project_id, round_.model.number).exists():
        gone.append(f"the weights of model {round_.model.number}")
    if "committee" in round_.settings and not (folder / "members.npz").exists():
        gone.append("its committee")
    if number := round_.settings.get("previous_round"):
        earlier = Round.objects.filter(project_id=round_.project_id, number=number).first()
        if earlier is None or not proba_path(earlier).exists():
            gone.append(f"the probabilities of round {number}")
    digest = round_.settings.get("encoder_digest")
    if digest and open_store(round_.project_id, digest) is None:
        gone.append("the features")
    if "opening" not in round_.settings and not (folder / "state.npz").exists():
        gone.append("what it knew of the items")
    return gone


def _opening(round_: Round, folder: Path) -> Ints:
    pool = unpack_rows(load_array(folder / "pool.npy"))
    return random_stream(pool, int(round_.settings["exploration_seed"])).rows


def _ranked(round_: Round, folder: Path) -> Ints:
    """The rank step in a folder of its own, on the pool and the encoded rows of then."""
    with TemporaryDirectory(dir=folder.parent, prefix="replay-") as temporary:
        work = Work(round_, progress=lambda done, total: None, should_stop=lambda: False)
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
