"""The feature store: one row of float16 numbers for each item, by `Item.row`, computed once for each encoder.

Under HOME/features/<project>/<encoder digest>/ lie `features.f16` (rows, D), a sparse file that grows, and `state.u8`
(rows,), a byte for each row that is written only after the features of its shard are on the disk: a crash at any point
leaves rows that count as missing, never rows that are wrong. One process writes at a time; readers map the files and see
rows appear. Nothing here ever loads the whole store.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

from annotator.common.errors import Conflict

Rows = npt.NDArray[np.int64]
Halves = npt.NDArray[np.float16]

MISSING, DONE, UNREADABLE = 0, 1, 2
FIRST_SHARD, LARGEST_SHARD = 64, 16_384
SHARD_SECONDS = 2.0  # a crash costs at most about this much work; should_stop is asked this often

# rows -> features (n, D); a row of NaN says that the item cannot be read
Encode = Callable[[Rows], npt.NDArray[Any]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Encoded:
    """What a run of `encode_missing` did. `complete` is false when it was asked to stop early."""

    done: int
    unreadable: int
    complete: bool


@dataclass(frozen=True)
class FeatureStore:
    """The features of one project under one encoder; a cheap handle, open it as often as you like."""

    folder: Path
    dim: int

    def state(self, rows: int) -> npt.NDArray[np.uint8]:
        """State (rows,) of the first `rows` rows; rows never written are MISSING."""
        path = self.folder / "state.u8"
        found = np.fromfile(path, dtype=np.uint8, count=rows) if path.exists() else np.empty(0, np.uint8)
        return np.concatenate([found, np.zeros(rows - len(found), dtype=np.uint8)])

    def features(self) -> Halves:
        """A read-only map (capacity, D) of the file; only rows whose state is DONE mean anything."""
        path = self.folder / "features.f16"
        size = path.stat().st_size // (2 * self.dim) if path.exists() else 0
        if size == 0:
            return np.empty((0, self.dim), dtype=np.float16)
        return np.memmap(path, dtype=np.float16, mode="r", shape=(size, self.dim))

    def has(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of `rows` have features."""
        if not len(rows):
            return np.empty(0, dtype=bool)
        return np.asarray(self.state(int(rows.max()) + 1)[rows] == DONE)

    def features_of(self, rows: Rows) -> Halves:
        """Features (n, D) of rows that have them; KeyError names the first that has none."""
        ready = self.has(rows)
        if not ready.all():
            raise KeyError(f"row {rows[~ready][0]} has no features yet")
        return np.asarray(self.features()[rows]) if len(rows) else np.empty((0, self.dim), dtype=np.float16)

    def missing(self, rows: Rows) -> Rows:
        """Those of `rows` that still have to be encoded, in the order given."""
        if not len(rows):
            return rows
        return np.asarray(rows[self.state(int(rows.max()) + 1)[rows] == MISSING])

    def write(self, rows: Rows, features: npt.NDArray[Any]) -> int:
        """Store features (n, D) of `rows` durably; returns how many were unreadable (not finite)."""
        values = np.asarray(features).astype(np.float16)
        if values.shape != (len(rows), self.dim):
            raise ValueError(f"features must be ({len(rows)}, {self.dim}), got {values.shape}")
        readable = np.isfinite(values).all(axis=1)
        values[~readable] = 0
        _scatter(self.folder / "features.f16", rows, values)
        _scatter(
            self.folder / "state.u8", rows, np.where(readable, DONE, UNREADABLE).astype(np.uint8)[:, None]
        )
        return int((~readable).sum())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's writer lock; Conflict when another process is encoding."""
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict("These items are being encoded already.", code="encoding") from error
            yield


def features_root(project_id: int) -> Path:
    return Path(settings.HOME) / "features" / str(project_id)


def make_store(project_id: int, digest: str, dim: int) -> FeatureStore:
    """The store of an encoder, created if need be."""
    folder = features_root(project_id) / digest
    folder.mkdir(parents=True, exist_ok=True)
    meta = folder / "meta.json"
    if not meta.exists():
        part = folder / f"meta.{os.getpid()}.part"
        part.write_text(json.dumps({"dim": dim, "dtype": "float16"}), encoding="utf-8")
        part.replace(meta)
    return FeatureStore(folder, dim)


def open_store(project_id: int, digest: str) -> FeatureStore | None:
    """The store of an encoder, or None where it was never made or has been removed."""
    folder = features_root(project_id) / digest
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return FeatureStore(folder, int(meta["dim"]))


def remove_store(project_id: int, digest: str) -> None:
    """Delete a store; readers that have it mapped keep their view."""
    shutil.rmtree(features_root(project_id) / digest, ignore_errors=True)


def encode_missing(
    store: FeatureStore,
    rows: Rows,
    encode: Encode,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Encoded:
    """Encode those of `rows` that are missing, in the order given, in shards that take about two seconds each.

    Safe to kill and to run again: whole shards survive, the rest is done anew.
    """
    with store.writing():
        todo = store.missing(rows)
        already, start, unreadable, size = len(rows) - len(todo), 0, 0, FIRST_SHARD
        while start < len(todo):
            if should_stop is not None and should_stop():
                return Encoded(start, unreadable, complete=False)
            began = time.perf_counter()
            # Sorted rows lie beside each other in the file.
            shard = np.sort(todo[start : start + size])
            unreadable += store.write(shard, encode(shard))
            start += len(shard)
            if progress is not None:
                progress(already + start, len(rows))
            spent = max(time.perf_counter() - began, 1e-3)
            size = int(np.clip(size * min(4.0, SHARD_SECONDS / spent), FIRST_SHARD, LARGEST_SHARD))
        return Encoded(len(todo), unreadable, complete=True)


def _scatter(path: Path, rows: Rows, values: npt.NDArray[Any]) -> None:
    """Write row i of `values` at place rows[i], grow the file as needed, and put it on the disk."""
    width = values.dtype.itemsize * values.shape[1]
    values = np.ascontiguousarray(values)
    with path.open("r+b" if path.exists() else "w+b") as file:
        for first, last in _runs(rows):
            file.seek(int(rows[first]) * width)
            file.write(values[first:last].data)
        file.flush()
        os.fsync(file.fileno())


def _runs(rows: Sequence[int] | Rows) -> Iterator[tuple[int, int]]:
    """Slices of `rows` that are consecutive numbers."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return itertools.pairwise(edges) if len(rows) else iter(())
