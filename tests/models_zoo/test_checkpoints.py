"""Checkpoints come back bit for bit, and damaged or foreign files are refused."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from models_zoo import checkpoints
from models_zoo.errors import CheckpointError
from models_zoo.head import HeadState

ENCODER = {"key": "pixels", "params": {"size": 8}, "digest": "abc"}


@pytest.fixture
def head() -> HeadState:
    rng = np.random.default_rng(2)
    return HeadState(
        weights=rng.normal(size=(3, 5)).astype(np.float32),
        bias=rng.normal(size=3).astype(np.float32),
        class_keys=("cat", "hund", "猫"),
        seen=np.array([True, False, True]),
        strength=0.03,
        temperature=1.7,
        iterations=12,
    )


def test_a_head_comes_back_as_it_was_saved(head: HeadState, tmp_path: Path) -> None:
    digest = checkpoints.save_head(tmp_path / "new" / "head", head, encoder=ENCODER, metadata={"round": 7})
    saved = checkpoints.load_head(tmp_path / "new" / "head")
    assert (saved.digest, saved.encoder, saved.metadata) == (digest, ENCODER, {"round": 7})
    for name in ("class_keys", "multi", "strength", "temperature", "iterations", "converged"):
        assert getattr(saved.state, name) == getattr(head, name)
    for name in ("weights", "bias", "seen"):
        np.testing.assert_array_equal(getattr(saved.state, name), getattr(head, name))


def test_the_digest_depends_on_all_that_is_saved_and_on_nothing_else(head: HeadState, tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        given: dict[str, Any] = {"state": head, "encoder": ENCODER, "metadata": {}, **changes}
        return checkpoints.save_head(tmp_path / "head", **given)

    assert digest() == digest()
    other = HeadState(**{**vars(head), "temperature": 1.8})
    assert len({digest(), digest(state=other), digest(encoder={}), digest(metadata={"a": 1})}) == 4


@pytest.mark.parametrize("position", [0.02, 0.5, 0.9, 0.999])
def test_one_changed_byte_anywhere_is_noticed(head: HeadState, tmp_path: Path, position: float) -> None:
    path = tmp_path / "head"
    checkpoints.save_head(path, head, encoder=ENCODER)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoints.load_head(path)


@pytest.mark.parametrize("keep", [0, 5, 200, -3])
def test_a_file_cut_short_is_refused(head: HeadState, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "head"
    checkpoints.save_head(path, head, encoder=ENCODER)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError):
        checkpoints.load_head(path)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "foreign").write_bytes(safetensors.numpy.save({"weights": np.zeros(3)}))
    (tmp_path / "pickled").write_bytes(pickle.dumps({"weights": zlib.compress(b"x")}))
    for name in ("foreign", "pickled", "missing"):
        with pytest.raises(CheckpointError, match=name):
            checkpoints.load_head(tmp_path / name)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    checkpoints.write(tmp_path / "file", kind="encoder-x", tensors={"a": np.zeros(2)}, metadata={})
    with pytest.raises(CheckpointError, match="encoder-x"):
        checkpoints.load_head(tmp_path / "file")


def test_a_write_that_fails_leaves_the_old_file_and_no_scraps(
    head: HeadState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "head"
    before = checkpoints.save_head(path, head, encoder=ENCODER)

    def full(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        checkpoints.save_head(path, head, encoder={})
    assert [found.name for found in tmp_path.iterdir()] == ["head"]
    assert checkpoints.load_head(path).digest == before


def test_metadata_that_is_no_json_is_refused_before_anything_is_written(
    head: HeadState, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="JSON"):
        checkpoints.save_head(tmp_path / "head", head, encoder={}, metadata={"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
