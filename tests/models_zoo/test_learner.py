"""The learner ties head, tuning and measures together without mixing what may teach and what may measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models_zoo.errors import NotFitted
from models_zoo.learner import HeadLearner, Learner

KEYS = ("a", "b", "c", "d")
Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


def test_a_head_is_a_learner() -> None:
    assert isinstance(HeadLearner(KEYS), Learner)


def test_signals_are_given_by_name(blobs: Blobs) -> None:
    features, labels = blobs(100)
    learner = HeadLearner(KEYS)
    state = learner.fit(features, labels)
    found = learner.signals(features, ["proba", "features"])
    assert set(found) == {"proba", "features"}
    assert found["features"] is features
    np.testing.assert_array_equal(found["proba"], state.predict_proba(features))
    assert set(learner.signals(features, [])) == set()
    with pytest.raises(ValueError, match="draws"):
        learner.signals(features, ["draws"])


def test_nothing_is_predicted_or_saved_before_the_first_fit(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(NotFitted):
        HeadLearner(KEYS).signals(blobs(3)[0], ["proba"])
    with pytest.raises(NotFitted):
        HeadLearner(KEYS).save(tmp_path / "head", encoder={})


def test_the_second_fit_starts_from_the_first(blobs: Blobs) -> None:
    features, labels = blobs(300)
    learner = HeadLearner(KEYS, strength=0.05)
    cold = learner.fit(features, labels).iterations
    assert learner.fit(features, labels).iterations < cold / 2


def test_tuning_sets_what_the_next_fit_uses(blobs: Blobs) -> None:
    features, labels = blobs(200)
    learner = HeadLearner(KEYS)
    found = learner.tune(features, labels, tune_mask=np.arange(200) >= 50)
    state = learner.fit(features, labels)
    assert found.samples == 150
    assert (state.strength, state.temperature) == (found.strength, found.temperature)


def test_too_few_labels_leave_strength_and_temperature_as_they_were(blobs: Blobs) -> None:
    learner = HeadLearner(KEYS, strength=0.7, temperature=1.3)
    found = learner.tune(*blobs(40), tune_mask=np.arange(40) < 1)
    assert not found.tuned
    assert (learner.strength, learner.temperature) == (0.7, 1.3)


def test_measures_on_the_share_agree_with_measures_on_new_items(blobs: Blobs) -> None:
    features, labels = blobs(400, spread=2.0)
    learner = HeadLearner(KEYS, strength=0.01)
    learner.fit(features, labels)
    measured = learner.evaluate(features, labels, share=np.arange(400) < 200).accuracy
    fresh, truth = blobs(3000, seed=1, spread=2.0)
    on_new = (learner.signals(fresh, ["proba"])["proba"].argmax(axis=1) == truth).mean()
    on_seen = (learner.signals(features, ["proba"])["proba"].argmax(axis=1) == labels).mean()
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low <= on_new <= measured.high < on_seen


def test_labels_that_say_nothing_are_not_predicted_however_well_they_were_learnt(blobs: Blobs) -> None:
    features, _ = blobs(200, dim=300)
    noise = np.random.default_rng(3).integers(0, 4, 200)
    learner = HeadLearner(KEYS, strength=1e-3)
    learner.fit(features, noise)
    assert (learner.signals(features, ["proba"])["proba"].argmax(axis=1) == noise).mean() > 0.99
    assert (learner.evaluate(features, noise, share=np.ones(200, bool)).accuracy.value or 1) < 0.4


def test_an_empty_share_measures_nothing(blobs: Blobs) -> None:
    features, labels = blobs(50)
    found = HeadLearner(KEYS).evaluate(features, labels, share=np.zeros(50, bool))
    assert (found.n, found.accuracy.value) == (0, None)


def test_several_labels_an_item_are_measured_as_such(blobs: Blobs) -> None:
    features, labels = blobs(200)
    targets = np.stack([labels == 0, labels > 1], axis=1)
    learner = HeadLearner(("first", "high"), multi=True)
    learner.fit(features, targets)
    found = learner.evaluate(features, targets, share=np.arange(200) < 80)
    assert found.n == 80
    assert (found.micro_f1 or 0) > 0.6


def test_a_saved_learner_continues_where_it_was(blobs: Blobs, tmp_path: Path) -> None:
    features, labels = blobs(150)
    learner = HeadLearner(KEYS, strength=0.1, temperature=1.4)
    learner.fit(features, labels)
    learner.save(tmp_path / "head", encoder={"key": "pixels"})
    again = HeadLearner.load(tmp_path / "head")
    assert (again.class_keys, again.strength, again.temperature) == (KEYS, 0.1, 1.4)
    np.testing.assert_array_equal(
        again.signals(features, ["proba"])["proba"], learner.signals(features, ["proba"])["proba"]
    )
    assert again.fit(features, labels).iterations < 5
