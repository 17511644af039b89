"""Step 4: probabilities for every row with features, in shards from the memory map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from annotator import env
from annotator.learning.arrays import save_array
from annotator.learning.classes import to_classes
from annotator.learning.work import Work
from models_zoo.device import torch_threads
from models_zoo.errors import Cancelled

SHARD = 131_072


def signals(work: Work) -> None:
    """Probabilities (n_rows, C) -> proba.npy; nothing in the cold start."""
    if work.round.model is None:
        (work.folder / "proba.npy").unlink(missing_ok=True)
        return
    # torch halves numbers about twenty times as fast as numpy does.
    save_array(work.folder / "proba.npy", torch.from_numpy(scores(work)).half().numpy())


def scores(work: Work) -> npt.NDArray[np.float32]:
    """Probabilities (n_rows, C) of today's classes, NaN for rows without features; computed once a run."""
    if "scores" not in work.keep:
        work.keep["scores"] = _score(work)
    found: npt.NDArray[np.float32] = work.keep["scores"]
    return found


def _score(work: Work) -> npt.NDArray[np.float32]:
    assert work.round.model is not None
    head = work.head.state
    total = work.round.n_rows
    found = np.full((total, len(work.class_keys)), np.nan, dtype=np.float32)
    if work.store is None:
        return found
    features = work.store.features()
    resolve = work.schema.resolve()
    with torch_threads(env.integer("ANNOTATOR_TRAIN_THREADS")):
        for start in range(0, min(total, len(features)), SHARD):
            if work.should_stop():
                raise Cancelled("stopped on request")
            end = min(start + SHARD, total, len(features))
            encoded = work.encoded[start:end]
            if encoded.any():
                # Whole shards, gaps included: reading on is cheaper than picking rows.
                part = head.predict_proba(features[start:end])
                part = to_classes(part, head.class_keys, resolve, work.class_keys, multi=work.multi)
                if encoded.all():
                    found[start:end] = part
                else:
                    found[start:end][encoded] = part[encoded]
            work.progress(end, total)
    return found
