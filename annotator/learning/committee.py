"""The committee of a round: the members that the strategy asked for, and what they say, in bounded memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquisition.committee import MemberOptions
from acquisition.hashing import item_keys
from annotator import env
from annotator.learning.arrays import save_arrays
from annotator.learning.classes import to_classes
from annotator.learning.work import Ints, Work
from models_zoo.device import torch_threads
from models_zoo.ensemble import HeadEnsemble, dropout_ensemble, fit_ensemble
from models_zoo.errors import Cancelled

MOST_ENTRIES = 1 << 27  # probabilities of all members that are held at a time: 512 MiB
SHARD_ENTRIES = 1 << 24  # of these, so many between two looks at whether to stop


def affordable(rows: Ints, *, classes: int, options: MemberOptions, seed: int) -> Ints:
    """Those of `rows`, ascending, whose draws fit into memory: all, or a uniform part that belongs to the seed."""
    most = max(1, MOST_ENTRIES // max(1, classes * options.members))
    if len(rows) <= most:
        return rows
    return np.sort(rows[np.argsort(item_keys(seed, rows))[:most]])


def draws(work: Work, rows: Ints, options: MemberOptions) -> npt.NDArray[np.float32]:
    """Probabilities (n, C, M) of today's classes by each member, for rows with features."""
    members = committee(work, options)
    found = np.empty((len(rows), len(work.class_keys), len(members)), dtype=np.float32)
    assert work.store is not None
    features = work.store.features()
    same = members.class_keys == work.class_keys
    resolve = {} if same else work.schema.resolve()
    shard = max(1, SHARD_ENTRIES // max(1, found.shape[1] * found.shape[2]))
    with torch_threads(env.integer("ANNOTATOR_TRAIN_THREADS")):
        for start in range(0, len(rows), shard):
            if work.should_stop():
                raise Cancelled("stopped on request")
            part = features[rows[start : start + shard]]
            out = found[start : start + shard]
            if same:
                members.predict(part, out)
            else:
                said = members.predict(part)
                for member in range(len(members)):
                    out[:, :, member] = to_classes(
                        said[:, :, member], members.class_keys, resolve, work.class_keys, multi=work.multi
                    )
            work.progress(min(start + shard, len(rows)), len(rows))
    return found


def committee(work: Work, options: MemberOptions) -> HeadEnsemble:
    """The members of this round: made once, and kept in members.npz for a resumed round and for replays."""
    if work.members_path.exists():
        return _load(work)
    seed = int(np.random.default_rng([work.round.seed, 4]).integers(2**32))
    head = work.head.state
    if options.member_kind == "dropout":
        mean = (
            work.trainable_features.mean(axis=0)
            if len(work.trainable.rows)
            else np.zeros(head.dim, dtype=np.float32)
        )
        made = dropout_ensemble(head, mean, members=options.members, rate=options.dropout, seed=seed)
    else:
        made = fit_ensemble(
            work.trainable_features,
            work.trainable.targets,
            work.class_keys,
            members=options.members,
            seed=seed,
            multi=work.multi,
            strength=head.strength,
            temperature=head.temperature,
            init=head,
        )
    save_arrays(
        work.members_path,
        weights=made.weights,
        bias=made.bias,
        class_keys=np.array(made.class_keys),
        temperature=np.array(made.temperature),
    )
    return made


def _load(work: Work) -> HeadEnsemble:
    with np.load(work.members_path, allow_pickle=False) as saved:
        return HeadEnsemble(
            saved["weights"],
            saved["bias"],
            tuple(saved["class_keys"].tolist()),
            work.multi,
            float(saved["temperature"]),
        )
