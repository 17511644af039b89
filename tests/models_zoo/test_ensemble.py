"""Committees of heads: members that differ as labels allow, and draws that joint entropies can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_zoo import ensemble
from models_zoo.ensemble import HeadEnsemble, dropout_ensemble, fit_ensemble
from models_zoo.errors import NotEnoughData
from models_zoo.head import HeadState, fit_head

KEYS = ("a", "b", "c", "d")
Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


def fitted(blobs: Blobs, n: int = 120, **options: Any) -> HeadEnsemble:
    features, labels = blobs(n)
    return fit_ensemble(features, labels, KEYS, **{"members": 5, "seed": 3, "strength": 0.3, **options})


def test_members_are_heads_that_know_the_classes_and_differ(blobs: Blobs) -> None:
    members = fitted(blobs)
    features, labels = blobs(400, seed=1)
    draws = members.predict(features)
    assert draws.shape == (400, 4, 5)
    assert draws.dtype == np.float32
    np.testing.assert_allclose(draws.sum(axis=1), 1, atol=1e-5)
    accuracy = (draws.argmax(axis=1) == labels[:, None]).mean(axis=0)
    assert np.all(accuracy > 0.6)
    assert np.all(draws.std(axis=2).max(axis=1) > 0)


def test_more_labels_leave_less_to_disagree_about(blobs: Blobs) -> None:
    features, _ = blobs(300, seed=1)
    few, many = (fitted(blobs, n).predict(features).std(axis=2).mean() for n in (40, 4000))
    assert many < few / 2


def test_the_mean_of_the_members_is_close_to_the_head(blobs: Blobs) -> None:
    features, labels = blobs(2000)
    head = fit_head(features, labels, KEYS, strength=0.3)
    queries, _ = blobs(300, seed=1)
    mean = fitted(blobs, 2000, members=20).predict(queries).mean(axis=2)
    np.testing.assert_allclose(mean, head.predict_proba(queries), atol=0.1)


def test_a_seed_makes_the_same_members_however_many_there_are(blobs: Blobs) -> None:
    queries, _ = blobs(50, seed=1)
    first, again, more, other = (
        fitted(blobs, **options).predict(queries) for options in ({}, {}, {"members": 8}, {"seed": 4})
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(more[:, :, :5], first, atol=2e-3)
    assert abs(other - first).max() > 1e-3


def test_members_that_do_not_fit_into_memory_together_are_fitted_in_parts(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, _ = blobs(50, seed=1)
    together = fitted(blobs).predict(queries)
    monkeypatch.setattr(ensemble, "_FIT_ENTRIES", 2 * 120 * 4)
    np.testing.assert_allclose(fitted(blobs).predict(queries), together, atol=2e-3)


def test_where_a_fit_starts_does_not_decide_where_it_ends(blobs: Blobs) -> None:
    features, labels = blobs(120)
    queries, _ = blobs(50, seed=1)
    warm = fitted(blobs, init=fit_head(features, labels, KEYS, strength=3.0))
    np.testing.assert_allclose(warm.predict(queries), fitted(blobs).predict(queries), atol=5e-3)


def test_a_class_with_one_label_is_known_to_every_member(blobs: Blobs) -> None:
    features, labels = blobs(80)
    labels = np.where(labels == 3, 0, labels)
    labels[7] = 3
    members = fit_ensemble(features, labels, KEYS, members=10, seed=0, strength=0.1)
    assert np.all(np.abs(members.weights[:, 3]).max(axis=1) > 0)


def test_several_labels_an_item(blobs: Blobs) -> None:
    features, labels = blobs(200)
    several = np.stack([labels == 0, labels % 2 == 0], axis=1)
    members = fit_ensemble(features, several, ("a", "b"), members=4, seed=0, multi=True, strength=0.3)
    draws = members.predict(features)
    assert draws.shape == (200, 2, 4)
    assert ((draws.mean(axis=2) > 0.5) == several).mean() > 0.8
    assert abs(draws.sum(axis=1) - 1).max() > 0.1


def test_one_class_is_not_enough(blobs: Blobs) -> None:
    features, labels = blobs(10)
    with pytest.raises(NotEnoughData):
        fit_ensemble(features, np.zeros_like(labels), KEYS, members=3, seed=0, strength=0.3)


def test_of_very_many_labels_each_class_teaches_its_share(blobs: Blobs) -> None:
    targets = np.repeat([0, 1, 2], [900, 99, 1])
    kept = ensemble._part(targets, 100, np.random.default_rng(0), multi=False)
    assert np.bincount(targets[kept]).tolist() == [90, 10, 1]
    assert np.all(np.diff(kept) > 0)
    assert len(ensemble._part(np.ones((900, 2), bool), 100, np.random.default_rng(0), multi=True)) == 100
    assert len(fitted(blobs, 400, max_rows=50)) == 5


def test_prediction_takes_float16_maps_in_chunks_and_writes_where_it_is_told(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = fitted(blobs)
    features, _ = blobs(70, seed=1)
    halves = features.astype(np.float16)
    halves.setflags(write=False)
    whole = members.predict(halves)
    monkeypatch.setattr(ensemble, "_PREDICT_ENTRIES", 24 * 16)
    out = np.full((70, 4, 5), np.nan, dtype=np.float32)
    assert members.predict(halves, out) is out
    np.testing.assert_allclose(out, whole, atol=1e-6)
    assert members.predict(halves[:0]).shape == (0, 4, 5)


@pytest.mark.parametrize(
    ("features", "out"),
    [
        (np.zeros((3, 7), np.float32), None),
        (np.zeros(24, np.float32), None),
        (np.zeros((3, 24), np.float32), np.zeros((3, 5, 4), np.float32)),
        (np.zeros((3, 24), np.float32), np.zeros((3, 4, 5))),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    blobs: Blobs, features: NDArray[Any], out: NDArray[Any] | None
) -> None:
    with pytest.raises(ValueError, match="must be"):
        fitted(blobs).predict(features, out)


def head_of(blobs: Blobs, *, temperature: float = 1.0) -> tuple[HeadState, NDArray[np.float32]]:
    features, labels = blobs(300)
    head = fit_head(features, labels, KEYS, strength=0.3, temperature=temperature)
    return head, features.mean(axis=0)


def test_a_dropout_member_hides_the_same_features_from_every_item(blobs: Blobs) -> None:
    head, mean = head_of(blobs)
    members = dropout_ensemble(head, mean, members=6, rate=0.3, seed=1)
    hidden = (members.weights == 0).all(axis=1)
    assert 0.1 < hidden.mean() < 0.5
    queries, _ = blobs(40, seed=1)
    changed = queries.copy()
    changed[:, hidden[2]] += 5
    draws = members.predict(queries)
    np.testing.assert_allclose(members.predict(changed)[:, :, 2], draws[:, :, 2], atol=1e-5)
    assert abs(members.predict(changed)[:, :, 3] - draws[:, :, 3]).max() > 1e-3
    # Items that are the same get the same draws.
    np.testing.assert_array_equal(*members.predict(np.repeat(queries[:1], 2, axis=0)))


def test_an_average_item_looks_the_same_to_every_dropout_member(blobs: Blobs) -> None:
    head, mean = head_of(blobs)
    draws = dropout_ensemble(head, mean, members=6, rate=0.5, seed=1).predict(mean[None])
    np.testing.assert_allclose(draws[0], np.repeat(head.predict_proba(mean[None]).T, 6, axis=1), atol=1e-5)


def test_dropout_members_are_the_head_on_average_and_differ_more_at_higher_rates(blobs: Blobs) -> None:
    head, mean = head_of(blobs)
    queries, _ = blobs(200, seed=1)
    low, high = (dropout_ensemble(head, mean, members=40, rate=rate, seed=1) for rate in (0.05, 0.6))
    np.testing.assert_allclose(low.weights.mean(axis=0), head.weights, atol=0.1 * abs(head.weights).max())
    assert low.predict(queries).std(axis=2).mean() < high.predict(queries).std(axis=2).mean()


def test_members_speak_at_the_temperature_of_the_head(blobs: Blobs) -> None:
    sharp, mean = head_of(blobs, temperature=0.5)
    flat, _ = head_of(blobs, temperature=2.0)
    queries, _ = blobs(100, seed=1)
    surest = [
        dropout_ensemble(head, mean, members=5, rate=0.1, seed=1).predict(queries).max(axis=1).mean()
        for head in (sharp, flat)
    ]
    assert surest[0] > surest[1] + 0.1


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"rate": 1.0}])
def test_a_rate_hides_some_features_and_not_all(blobs: Blobs, options: dict[str, float]) -> None:
    head, mean = head_of(blobs)
    with pytest.raises(ValueError, match="rate"):
        dropout_ensemble(head, mean, members=3, seed=0, **options)


def test_the_mean_must_be_that_of_the_features(blobs: Blobs) -> None:
    head, mean = head_of(blobs)
    with pytest.raises(ValueError, match="mean"):
        dropout_ensemble(head, mean[:-1], members=3, rate=0.3, seed=0)
