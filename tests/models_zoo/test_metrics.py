"""Measures agree with hand calculation, with scikit-learn, and with what intervals promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from models_zoo.metrics import Estimate, calibration_error, evaluate, wilson

KEYS = ("a", "b", "c")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def test_the_wilson_interval_is_that_of_the_textbook() -> None:
    found = wilson(8, 10)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)


def test_all_right_is_not_certainty_and_nothing_is_not_zero() -> None:
    assert wilson(10, 10).high == 1
    assert 0.6 < (wilson(10, 10).low or 0) < 0.8
    assert wilson(0, 0).value is None


def test_the_interval_holds_the_true_share_about_as_often_as_it_says(rng: np.random.Generator) -> None:
    inside = [
        (e.low or 0) <= 0.9 <= (e.high or 0)
        for e in (wilson(int(k), 40) for k in rng.binomial(40, 0.9, 2000))
    ]
    assert 0.92 < np.mean(inside) < 0.98


def test_bins_of_equal_mass_see_what_is_off() -> None:
    confidence = np.array([0.5, 0.5, 0.9, 0.9])
    assert calibration_error(confidence, np.array([1, 0, 1, 1]), bins=2) == pytest.approx(0.05)
    assert calibration_error(confidence, np.array([0, 0, 0, 0]), bins=2) == pytest.approx(0.7)
    assert calibration_error(np.array([]), np.array([])) is None


def test_honest_probabilities_have_a_small_calibration_error(rng: np.random.Generator) -> None:
    confidence = rng.uniform(0.3, 1, 5000)
    assert (calibration_error(confidence, rng.random(5000) < confidence) or 0) < 0.03
    assert (calibration_error(confidence, rng.random(5000) < confidence**3) or 0) > 0.1


def test_accuracy_and_macro_f1_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    truth = rng.integers(0, 3, 200)
    proba = rng.dirichlet(np.ones(3), 200)
    proba[np.arange(200), truth] += 0.4
    found = evaluate(proba, truth, KEYS)
    guess = proba.argmax(axis=1)
    assert found.accuracy.value == pytest.approx((guess == truth).mean())
    assert found.macro_f1.value == pytest.approx(f1_score(truth, guess, average="macro"))
    for measures, theirs in zip(found.classes, f1_score(truth, guess, average=None), strict=True):
        assert measures.f1 == pytest.approx(theirs)
    assert sum(measures.support for measures in found.classes) == 200


def test_the_bootstrap_interval_of_macro_f1_narrows_with_more_items(rng: np.random.Generator) -> None:
    def width(n: int) -> float:
        truth = rng.integers(0, 3, n)
        proba = np.eye(3)[np.where(rng.random(n) < 0.8, truth, rng.integers(0, 3, n))]
        found = evaluate(proba, truth, KEYS).macro_f1
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(50) / width(1250) == pytest.approx(5, rel=0.4)


def test_a_class_neither_there_nor_predicted_does_not_count() -> None:
    found = evaluate(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]), KEYS)
    # Nothing was wrong, so no replicate can be: that is no interval.
    assert found.macro_f1 == Estimate(1.0, None, None)
    assert found.classes[2].f1 is None
    assert found.classes[2].recall is None


def test_several_labels_an_item_have_subset_accuracy_micro_and_macro_f1(rng: np.random.Generator) -> None:
    truth = rng.random((150, 3)) < 0.4
    proba = np.clip(truth * 0.4 + rng.random((150, 3)) * 0.6, 0, 1)
    found = evaluate(proba, truth, KEYS, multi=True)
    guess = proba >= 0.5
    assert found.accuracy.value == pytest.approx((guess == truth).all(axis=1).mean())
    assert found.micro_f1 == pytest.approx(f1_score(truth, guess, average="micro"))
    assert found.macro_f1.value == pytest.approx(f1_score(truth, guess, average="macro"))
    assert (found.macro_f1.low or 1) < (found.macro_f1.value or 0) < (found.macro_f1.high or 0)


@pytest.mark.parametrize("multi", [False, True])
def test_an_empty_share_is_measured_as_nothing_and_is_plain_json(multi: bool) -> None:
    targets = np.zeros((0, 3), bool) if multi else np.zeros(0, int)
    found = evaluate(np.zeros((0, 3)), targets, KEYS, multi=multi)
    assert found.n == 0
    assert found.accuracy.value is None
    assert found.macro_f1.value is None
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["classes"][0]["support"] == 0


def test_the_same_seed_gives_the_same_interval(rng: np.random.Generator) -> None:
    proba, truth = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    assert evaluate(proba, truth, KEYS, seed=1) == evaluate(proba, truth, KEYS, seed=1)
    assert evaluate(proba, truth, KEYS, seed=1) != evaluate(proba, truth, KEYS, seed=2)


def test_what_does_not_fit_or_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="fit"):
        evaluate(np.zeros((2, 3)), np.array([0]), KEYS)
    with pytest.raises(ValueError, match="finite"):
        evaluate(np.full((1, 3), np.nan), np.array([0]), KEYS)
