"""Models on disk: safetensors files with a digest over all they hold. No pickle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from models_zoo.errors import CheckpointError
from models_zoo.head import HeadState

FORMAT = "annotator-model-1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: named arrays, JSON metadata, and the sha256 of both."""

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class SavedHead:
    """A head as saved: its state, the encoder it stands on (key, params, digest), free metadata, its digest."""

    state: HeadState
    encoder: dict[str, Any]
    metadata: dict[str, Any]
    digest: str


def content_digest(kind: str, tensors: Mapping[str, NDArray[Any]], metadata: str) -> str:
    """Return the sha256 of kind, metadata and arrays, in the order of their names."""
    digest = hashlib.sha256(json.dumps([FORMAT, kind, metadata]).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that after a crash there is either the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(path: Path, *, kind: str, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> str:
    """Write a checkpoint atomically and return its digest."""
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    digest = content_digest(kind, arrays, text)
    header = {"format": FORMAT, "kind": kind, "metadata": text, "digest": digest}
    write_bytes(path, safetensors.numpy.save(arrays, metadata=header))
    return digest


def read(path: Path, *, kind: str) -> Checkpoint:
    """Read a checkpoint of that kind; raise CheckpointError where it is missing, damaged or not ours."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{path.name} was not written by this program")
            if header.get("kind") != kind:
                raise CheckpointError(f"{path.name} holds {header.get('kind')!r}, not {kind!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    text = header.get("metadata", "")
    if content_digest(kind, tensors, text) != header.get("digest"):
        raise CheckpointError(f"{path.name} is damaged: its digest does not match its content")
    return Checkpoint(tensors, json.loads(text), header["digest"])


def save_head(
    path: Path, state: HeadState, *, encoder: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
) -> str:
    """Save a head with the encoder it belongs to (key, params, digest); return the digest of the content."""
    tensors: dict[str, NDArray[Any]] = {
        "weights": state.weights,
        "bias": state.bias,
        "seen": state.seen.astype(np.uint8),
    }
    described = {
        "class_keys": list(state.class_keys),
        "multi": state.multi,
        "strength": state.strength,
        "temperature": state.temperature,
        "iterations": state.iterations,
        "converged": state.converged,
    }
    about = {"head": described, "encoder": dict(encoder), "metadata": dict(metadata or {})}
    return write(path, kind="head", tensors=tensors, metadata=about)


def load_head(path: Path) -> SavedHead:
    """Load a head, or raise CheckpointError."""
    saved = read(path, kind="head")
    about = saved.metadata["head"]
    state = HeadState(
        weights=saved.tensors["weights"],
        bias=saved.tensors["bias"],
        class_keys=tuple(about["class_keys"]),
        seen=saved.tensors["seen"].astype(bool),
        multi=about["multi"],
        strength=about["strength"],
        temperature=about["temperature"],
        iterations=about["iterations"],
        converged=about["converged"],
    )
    return SavedHead(state, saved.metadata["encoder"], saved.metadata["metadata"], saved.digest)
