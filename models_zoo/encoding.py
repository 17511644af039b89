"""What an encoder is, and the parts that all of them share. numpy only."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models_zoo.errors import Cancelled, SampleError

Features = NDArray[np.float32]
Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
OnError = Callable[[SampleError], None]


@runtime_checkable
class Encoder(Protocol):
    """Turns samples into L2-normalised rows.

    `digest` is the sha256 of weights, parameters and preprocessing: equal digests give equal features (up to the
    rounding of the device). `encode` raises SampleError at the first sample it cannot read; with `on_error` it
    reports each and leaves a row of NaN instead. Raises Cancelled when `should_stop()` turns true.
    """

    @property
    def dim(self) -> int: ...

    @property
    def digest(self) -> str: ...

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features: ...


@runtime_checkable
class FittedEncoder(Encoder, Protocol):
    """An encoder that learns first; `fit` changes its digest, `save` and `load` keep its state without pickle."""

    def fit(
        self,
        samples: Sequence[Any],
        targets: NDArray[Any] | None = None,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None: ...

    def save(self, path: Path) -> str: ...

    def load(self, path: Path) -> None: ...


def l2_normalise(features: NDArray[Any]) -> Features:
    """Scale each row to length one; a row of zeros stays zero."""
    rows = np.asarray(features, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), dtype=np.float32)


def digest_of(*parts: Mapping[str, Any] | Sequence[Any] | str | bytes) -> str:
    """Return the sha256 of the parts; mappings count as sorted JSON."""
    state = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        state.update(len(raw).to_bytes(8, "big"))
        state.update(raw)
    return state.hexdigest()


@functools.lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, remembered while its size and time stay."""
    stat = path.stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns)


def check_stop(should_stop: ShouldStop | None) -> None:
    """Raise Cancelled when the caller wants to stop."""
    if should_stop is not None and should_stop():
        raise Cancelled("stopped on request")


def encode_in_batches(
    samples: Sequence[Any],
    *,
    dim: int,
    batch_size: int,
    read: Callable[[Any], Any],
    compute: Callable[[list[Any]], NDArray[Any]],
    cost: Callable[[Any], int] | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    on_error: OnError | None = None,
) -> Features:
    """Encode `samples` batch by batch and return normalised rows in the order given.

    `read` turns one sample into the input of the net or raises SampleError; `compute` turns a list of inputs into
    (k, dim). With `cost` (length of a text) batches hold samples of like cost, the dearest first: less padding, and
    a lack of memory shows at once. Progress is reported after each batch.
    """
    total = len(samples)
    features = np.full((total, dim), np.nan, dtype=np.float32)
    order = list(range(total))
    if cost is not None:
        costs = [cost(sample) for sample in samples]
        order.sort(key=lambda index: -costs[index])
    for start in range(0, total, batch_size):
        check_stop(should_stop)
        indices, inputs = [], []
        for index in order[start : start + batch_size]:
            try:
                inputs.append(read(samples[index]))
            except SampleError as error:
                if on_error is None:
                    raise error.at(index) from error
                on_error(error.at(index))
            else:
                indices.append(index)
        if inputs:
            features[indices] = l2_normalise(compute(inputs))
        if progress is not None:
            progress(min(start + batch_size, total), total)
    return features


def read_text(sample: Any) -> str:
    """Return `sample` if it is a text, else raise SampleError."""
    if not isinstance(sample, str):
        raise SampleError(f"expected a text, got {type(sample).__name__}")
    return sample
