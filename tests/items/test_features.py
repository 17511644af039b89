"""The feature store: durable shards, resumable, honest about what is there."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
import pytest

from annotator.common.errors import Conflict
from annotator.items.features import (
    DONE,
    MISSING,
    UNREADABLE,
    FeatureStore,
    encode_missing,
    make_store,
    open_store,
    remove_store,
)

DIM = 3


@pytest.fixture
def store() -> FeatureStore:
    return make_store(1, secrets.token_hex(32), DIM)


def numbered(rows: np.ndarray) -> np.ndarray:
    """Features that tell their row."""
    return np.repeat(rows[:, None], DIM, axis=1).astype(np.float32)


def test_what_is_written_is_read_back_by_row(store: FeatureStore) -> None:
    rows = np.array([4, 5, 9])
    store.write(rows, numbered(rows))
    assert store.features_of(np.array([9, 4])).tolist() == [[9.0] * DIM, [4.0] * DIM]
    assert store.state(11).tolist() == [MISSING] * 4 + [DONE, DONE] + [MISSING] * 3 + [DONE, MISSING]


def test_a_row_without_features_is_refused(store: FeatureStore) -> None:
    store.write(np.array([0, 2]), numbered(np.array([0, 2])))
    with pytest.raises(KeyError, match="row 1"):
        store.features_of(np.array([0, 1, 2]))


def test_only_missing_rows_are_encoded(store: FeatureStore) -> None:
    store.write(np.array([1]), numbered(np.array([1])))
    asked: list[int] = []

    def encode(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return numbered(rows)

    done = encode_missing(store, np.arange(4), encode)
    assert (asked, done.done, done.complete) == ([0, 2, 3], 3, True)
    assert encode_missing(store, np.arange(4), encode).done == 0


def test_an_unreadable_item_is_not_tried_again(store: FeatureStore) -> None:
    def encode(rows: np.ndarray) -> np.ndarray:
        found = numbered(rows)
        found[rows == 2] = np.nan
        return found

    assert encode_missing(store, np.arange(4), encode).unreadable == 1
    assert store.state(4)[2] == UNREADABLE
    assert not store.has(np.array([2]))[0]
    assert len(store.missing(np.arange(4))) == 0


def failing_at(shard: int) -> Callable[[np.ndarray], np.ndarray]:
    calls = iter(range(100))

    def encode(rows: np.ndarray) -> np.ndarray:
        if next(calls) == shard:
            raise MemoryError("killed")
        return numbered(rows)

    return encode


def test_whole_shards_survive_a_crash(store: FeatureStore) -> None:
    rows = np.arange(1_000)
    with pytest.raises(MemoryError):
        encode_missing(store, rows, failing_at(2))
    kept = int(store.has(rows).sum())
    assert 0 < kept < 1_000
    finished = encode_missing(store, rows, numbered)
    assert finished.done == 1_000 - kept
    assert (store.features_of(rows)[:, 0] == rows).all()


def test_features_without_their_mark_do_not_count(store: FeatureStore) -> None:
    """A crash between the two files: the features are there, the rows are missing."""
    store.write(np.array([0, 1]), numbered(np.array([0, 1])))
    (store.folder / "state.u8").unlink()
    assert store.missing(np.array([0, 1])).tolist() == [0, 1]


def test_stopping_keeps_what_is_done(store: FeatureStore) -> None:
    answers = iter([False, False, True])
    found = encode_missing(store, np.arange(500), numbered, should_stop=lambda: next(answers))
    assert not found.complete
    assert store.has(np.arange(500)).sum() == found.done > 0


def test_progress_counts_what_was_there_before(store: FeatureStore) -> None:
    store.write(np.arange(10), numbered(np.arange(10)))
    seen: list[tuple[int, int]] = []
    encode_missing(store, np.arange(30), numbered, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(30, 30)]


def test_a_reader_keeps_its_view_while_the_store_grows(store: FeatureStore) -> None:
    store.write(np.array([0]), numbered(np.array([0])))
    view = store.features()
    store.write(np.array([5_000]), numbered(np.array([5_000 % 2_000])))
    assert view.shape == (1, DIM)
    assert store.features().shape == (5_001, DIM)


def test_two_writers_are_refused(store: FeatureStore) -> None:
    with store.writing(), pytest.raises(Conflict):
        encode_missing(store, np.arange(3), numbered)


def test_stores_are_found_again_by_their_digest() -> None:
    digest = secrets.token_hex(32)
    assert open_store(1, digest) is None
    make_store(1, digest, 7)
    found = open_store(1, digest)
    assert found is not None
    assert found.dim == 7
    remove_store(1, digest)
    assert open_store(1, digest) is None


def test_wrong_shapes_are_refused(store: FeatureStore) -> None:
    with pytest.raises(ValueError, match="must be"):
        store.write(np.arange(2), np.zeros((2, DIM + 1)))
