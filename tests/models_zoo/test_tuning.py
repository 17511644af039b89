"""Cross-validation looks at no label that it should not, and calibrates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models_zoo import tuning
from models_zoo.errors import NotEnoughData
from models_zoo.head import DEFAULT_STRENGTH, fit_head
from models_zoo.metrics import calibration_error
from models_zoo.objective import one_hot
from models_zoo.tuning import best_temperature, cross_fit, probabilities, retune, stratified_folds, tune_head

KEYS = ("a", "b", "c", "d")
Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_folds_spread_each_class_evenly(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], [50, 20, 7])
    folds = stratified_folds(labels, 5, rng)
    counts = np.array([np.bincount(folds[labels == label], minlength=5) for label in range(3)])
    assert (np.ptp(counts, axis=1) <= 1).all()


def test_folds_of_several_labels_spread_the_rare_class(rng: np.random.Generator) -> None:
    targets = np.zeros((100, 2), bool)
    targets[:, 0] = True
    targets[:10, 1] = True
    folds = stratified_folds(targets, 5, rng, multi=True)
    assert np.bincount(folds[:10], minlength=5).tolist() == [2] * 5


def test_out_of_fold_scores_are_those_of_a_head_fitted_without_the_fold(
    blobs: Blobs, rng: np.random.Generator
) -> None:
    features, labels = blobs(200)
    folds = stratified_folds(labels, 4, rng)
    scores = cross_fit(features, labels, KEYS, folds, strength=0.3)
    out = folds == 2
    alone = fit_head(features[~out], labels[~out], KEYS, strength=0.3)
    np.testing.assert_allclose(
        probabilities(scores[out], multi=False), alone.predict_proba(features[out]), atol=5e-3
    )


def test_a_held_out_label_has_no_influence_even_when_the_start_knew_it(
    blobs: Blobs, rng: np.random.Generator
) -> None:
    features, labels = blobs(60, spread=3.0)
    folds = stratified_folds(labels, 5, rng)
    knows = fit_head(features, labels, KEYS, strength=0.01)
    cold = probabilities(cross_fit(features, labels, KEYS, folds, strength=0.01), multi=False)
    warm = probabilities(cross_fit(features, labels, KEYS, folds, strength=0.01, init=knows), multi=False)
    assert np.abs(warm - cold).max() < 0.02
    fitted = knows.predict_proba(features)[np.arange(60), labels].mean()
    assert fitted - warm[np.arange(60), labels].mean() > 0.2, "the data could not show a leak"


def test_rows_of_fold_minus_one_teach_and_are_not_scored(blobs: Blobs) -> None:
    features, labels = blobs(120)
    folds = np.where(np.arange(120) < 40, np.arange(120) % 2, -1)
    scores = cross_fit(features, labels, KEYS, folds)
    assert np.isnan(scores[40:]).all()
    assert np.isfinite(scores[:40]).all()
    changed = labels.copy()
    changed[40:] = (changed[40:] + 1) % 4
    assert np.nanmax(np.abs(cross_fit(features, changed, KEYS, folds) - scores)) > 0.5


def test_without_a_fold_nothing_is_fitted(blobs: Blobs) -> None:
    features, labels = blobs(20)
    assert np.isnan(cross_fit(features, labels, KEYS, np.full(20, -1))).all()


def test_a_fold_that_leaves_one_class_is_not_enough(blobs: Blobs) -> None:
    features, _ = blobs(10)
    labels = np.repeat([0, 1], 5)
    with pytest.raises(NotEnoughData):
        cross_fit(features, labels, KEYS, labels)


def test_folds_of_the_wrong_length_are_refused(blobs: Blobs) -> None:
    with pytest.raises(ValueError, match="folds"):
        cross_fit(*blobs(10), KEYS, np.zeros(9, dtype=np.int64))


def test_tuning_never_touches_a_row_outside_its_mask(blobs: Blobs) -> None:
    features, labels = blobs(200)
    mask = np.arange(200) % 4 != 0
    found = tune_head(features, labels, KEYS, tune_mask=mask)
    spoilt, wrong = features.copy(), labels.copy()
    spoilt[~mask] = np.nan
    wrong[~mask] = 0
    assert tune_head(spoilt, wrong, KEYS, tune_mask=mask) == found
    assert found.tuned
    assert found.samples == 150
    assert tune_head(features, wrong, KEYS).losses != found.losses


def test_noise_asks_for_a_stronger_regularisation_than_clean_classes(blobs: Blobs) -> None:
    clean = tune_head(*blobs(200, spread=0.2), KEYS)
    noisy = tune_head(*blobs(200, spread=4.0), KEYS)
    assert noisy.strength > clean.strength


def test_the_strength_chosen_has_the_smallest_loss_of_those_tried(blobs: Blobs) -> None:
    found = tune_head(*blobs(200), KEYS)
    assert found.losses[found.strength] == min(found.losses.values())


def test_many_labels_are_tuned_on_a_part(blobs: Blobs) -> None:
    assert tune_head(*blobs(300), KEYS, max_rows=100).samples == 100


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0, 1], [1, 1, 1]])
def test_too_few_labels_for_two_folds_leave_the_defaults(labels: list[int]) -> None:
    found = tune_head(np.eye(len(labels), 6, dtype=np.float32), np.array(labels), KEYS)
    assert (found.tuned, found.strength, found.temperature) == (False, DEFAULT_STRENGTH, 1.0)


def test_several_labels_an_item_are_tuned_as_well(blobs: Blobs) -> None:
    features, labels = blobs(200)
    targets = np.stack([labels == 0, labels > 1], axis=1)
    found = tune_head(features, targets, ("a", "b"), multi=True)
    assert found.tuned
    assert not tune_head(features, np.ones((200, 2), bool), ("a", "b"), multi=True).tuned


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_scores_that_are_too_bold_or_too_shy(
    rng: np.random.Generator, true_temperature: float
) -> None:
    honest = 2 * rng.normal(size=(4000, 3))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    scores = honest * true_temperature
    found = best_temperature(scores, one_hot(labels, 4000, 3, multi=False))
    assert found == pytest.approx(true_temperature, rel=0.1)
    proba = probabilities(scores / found, multi=False)
    error = calibration_error(proba.max(axis=1), proba.argmax(axis=1) == labels)
    assert error is not None
    assert error < 0.03


def test_the_temperature_of_several_labels_goes_by_the_logistic_function(rng: np.random.Generator) -> None:
    honest = 2 * rng.normal(size=(3000, 2))
    targets = rng.random(honest.shape) < probabilities(honest, multi=True)
    found = best_temperature(honest * 2, one_hot(targets, 3000, 2, multi=True), multi=True)
    assert found == pytest.approx(2, rel=0.1)


def test_two_certain_labels_do_not_drive_the_temperature_to_its_bound() -> None:
    found = best_temperature(np.array([[9.0, 0.0], [0.0, 9.0]]), np.eye(2, dtype=np.float32))
    assert 0.5 < found < 2
    assert tuning._TEMPERATURES[0] < found


def test_a_tuning_holds_until_its_labels_have_grown_by_a_quarter(blobs: Blobs) -> None:
    features, labels = blobs(100)

    def at(count: int, last: dict[str, object] | None, keys: tuple[str, ...] = KEYS) -> dict[str, object]:
        share = np.arange(count) < 20
        return retune(last, features[:count], labels[:count], keys, share=share)

    first = at(60, None)
    assert (first["labels"], first["classes"], first["tuned"]) == (40, list(KEYS), True)
    assert at(69, {**first, "round": 3}) == {**first, "round": 3}
    assert at(70, first)["labels"] == 50
    assert at(69, first, (*KEYS, "e"))["classes"] == [*KEYS, "e"]


def test_tuning_again_ignores_what_the_random_share_says(blobs: Blobs) -> None:
    features, labels = blobs(80)
    share = np.arange(80) < 30
    shuffled = np.where(share, (labels + 1) % 4, labels)
    assert retune(None, features, labels, KEYS, share=share) == retune(
        None, features, shuffled, KEYS, share=share
    )


def test_the_only_label_of_a_class_is_not_held_against_weak_strengths() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(70, 64)).astype(np.float32)
    # Six classes with two labels, 64 with one: as a first batch of typical items looks where classes are many.
    targets = np.concatenate([np.repeat(np.arange(6), 2), np.arange(6, 70)])
    features = centres[targets] + 0.7 * rng.normal(size=(len(targets), 64)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = tune_head(features, targets, [f"c{n}" for n in range(70)])
    assert found.tuned
    assert found.strength <= 0.1
