"""The head finds the optimum of regularised logistic regression, from any start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models_zoo.errors import NotEnoughData, SampleError
from models_zoo.head import CHUNK, HeadState, fit_head
from models_zoo.lbfgs import minimise

KEYS = ("a", "b", "c", "d")
Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]
EXACT: dict[str, Any] = {"dtype": torch.float64, "tolerance": 1e-14, "max_iterations": 1000}


@pytest.mark.parametrize("strength", [0.03, 1.0])
def test_the_head_is_scikit_learns_logistic_regression(blobs: Blobs, strength: float) -> None:
    features, labels = blobs(300)
    theirs = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=10_000).fit(
        features.astype(np.float64), labels
    )
    ours = fit_head(features, labels, KEYS, strength=strength, **EXACT)
    assert ours.converged
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), atol=2e-4)


def test_single_precision_and_the_usual_tolerance_give_the_same_probabilities(blobs: Blobs) -> None:
    features, labels = blobs(300)
    exact = fit_head(features, labels, KEYS, strength=0.1, **EXACT).predict_proba(features)
    usual = fit_head(features, labels, KEYS, strength=0.1).predict_proba(features)
    np.testing.assert_allclose(usual, exact, atol=5e-3)


def test_fewer_rows_than_dimensions_reach_the_same_optimum(blobs: Blobs) -> None:
    features, labels = blobs(40, dim=200)
    theirs = LogisticRegression(C=2, tol=1e-9, max_iter=10_000).fit(features.astype(np.float64), labels)
    ours = fit_head(features, labels, KEYS, strength=0.5, **EXACT)
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=1e-3)


def test_sample_weights_count_like_repeated_rows(blobs: Blobs) -> None:
    features, labels = blobs(80)
    weight = np.random.default_rng(1).integers(1, 4, len(labels)).astype(float)
    repeated = np.repeat(np.arange(len(labels)), weight.astype(int))
    weighted = fit_head(features, labels, KEYS, sample_weight=weight, **EXACT)
    longer = fit_head(features[repeated], labels[repeated], KEYS, **EXACT)
    np.testing.assert_allclose(weighted.weights, longer.weights, atol=1e-4)


def test_several_labels_an_item_are_one_logistic_regression_a_class(blobs: Blobs) -> None:
    features, labels = blobs(300)
    several = np.stack([labels == 0, labels % 2 == 0, labels > 1], axis=1)
    ours = fit_head(features, several, ("a", "b", "c"), multi=True, strength=0.5, **EXACT)
    for column in range(3):
        theirs = LogisticRegression(C=2, tol=1e-9, max_iter=10_000).fit(
            features.astype(np.float64), several[:, column]
        )
        np.testing.assert_allclose(ours.weights[column], theirs.coef_[0], atol=2e-3)
    assert ours.predict_proba(features).sum(axis=1).max() > 1.05


def test_a_warm_start_is_faster_and_ends_in_the_same_place(blobs: Blobs) -> None:
    features, labels = blobs(400)
    before = fit_head(features[:390], labels[:390], KEYS, strength=0.1)
    cold = fit_head(features, labels, KEYS, strength=0.1)
    warm = fit_head(features, labels, KEYS, strength=0.1, init=before)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.predict_proba(features), cold.predict_proba(features), atol=5e-3)


def test_a_warm_start_follows_classes_by_their_keys(blobs: Blobs) -> None:
    features, labels = blobs(400)
    order = np.array([2, 0, 3, 1])
    before = fit_head(features, labels, KEYS, strength=0.1, **EXACT)
    again = fit_head(features, np.argsort(order)[labels], [KEYS[i] for i in order], strength=0.1, init=before)
    np.testing.assert_allclose(again.weights, before.weights[order], atol=0.05)
    assert again.iterations <= 3


def test_a_start_from_a_head_of_another_encoder_is_ignored(blobs: Blobs) -> None:
    features, labels = blobs(100)
    other = fit_head(*blobs(100, dim=7), KEYS)
    assert fit_head(features, labels, KEYS, init=other).dim == features.shape[1]


def test_classes_without_labels_keep_a_column_with_a_small_probability(blobs: Blobs) -> None:
    features, labels = blobs(200)
    head = fit_head(features, labels, (*KEYS, "never"))
    proba = head.predict_proba(features)
    assert head.seen.tolist() == [True] * 4 + [False]
    assert proba.shape == (200, 5)
    assert 1e-4 < proba[:, 4].mean() < 0.05
    without = fit_head(features, labels, KEYS).predict_proba(features)
    np.testing.assert_allclose(proba[:, :4] / proba[:, :4].sum(axis=1, keepdims=True), without, atol=2e-2)


def test_a_class_that_every_item_has_or_no_item_has_stays_finite(blobs: Blobs) -> None:
    features, labels = blobs(50)
    several = np.stack([np.ones(50, bool), np.zeros(50, bool), labels == 0], axis=1)
    head = fit_head(features, several, ("all", "none", "some"), multi=True)
    proba = head.predict_proba(features)
    assert head.seen.tolist() == [False, False, True]
    assert proba[:, 0].min() > 0.97
    assert proba[:, 1].max() < 0.03


@pytest.mark.parametrize("labels", [[], [2], [1, 1, 1]])
def test_fewer_than_two_classes_are_not_enough(labels: list[int]) -> None:
    features = np.eye(len(labels), 5, dtype=np.float32)
    with pytest.raises(NotEnoughData, match="two classes"):
        fit_head(features, np.array(labels, dtype=np.int64), KEYS)


def test_several_labels_an_item_need_one_class_seen_both_ways() -> None:
    with pytest.raises(NotEnoughData, match="with it and an item without it"):
        fit_head(np.eye(3, dtype=np.float32), np.array([[True, False]] * 3), ("a", "b"), multi=True)


def test_features_that_are_not_finite_name_their_row(blobs: Blobs) -> None:
    features, labels = blobs(20)
    features = features.copy()
    features[7, 3] = np.nan
    with pytest.raises(SampleError) as caught:
        fit_head(features, labels, KEYS)
    assert caught.value.index == 7


@pytest.mark.parametrize(
    ("targets", "multi"),
    [(np.array([0, 1, 4]), False), (np.array([0, -1, 1]), False), (np.array([0.0, 1.0, 1.0]), False)]
    + [(np.zeros((3, 2), bool), True), (np.array([0, 1]), False)],
)
def test_targets_that_do_not_fit_are_refused(targets: NDArray[Any], multi: bool) -> None:
    with pytest.raises(ValueError, match="targets"):
        fit_head(np.eye(3, dtype=np.float32), targets, KEYS, multi=multi)


@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0]])
def test_sample_weights_that_make_no_sense_are_refused(weight: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        fit_head(np.eye(3, dtype=np.float32), np.array([0, 1, 1]), KEYS, sample_weight=np.array(weight))


def test_the_temperature_divides_the_scores() -> None:
    head = HeadState(
        weights=np.array([[2.0], [0.0]], np.float32),
        bias=np.array([1.0, 0.0], np.float32),
        class_keys=("a", "b"),
        seen=np.ones(2, bool),
        temperature=3.0,
    )
    at_one = np.array([[1.0]], np.float32)
    np.testing.assert_allclose(head.logits(at_one), [[3.0, 0.0]])
    np.testing.assert_allclose(head.predict_proba(at_one)[0, 0], 1 / (1 + np.exp(-1)), rtol=1e-6)


def test_a_read_only_float16_memory_map_is_predicted_chunk_by_chunk(blobs: Blobs, tmp_path: Any) -> None:
    features, labels = blobs(CHUNK + 100, dim=6)
    head = fit_head(features[:200], labels[:200], KEYS)
    np.save(tmp_path / "features.npy", features.astype(np.float16))
    stored = np.load(tmp_path / "features.npy", mmap_mode="r")
    proba = head.predict_proba(stored)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba, head.predict_proba(features), atol=5e-3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_features_of_another_width_are_refused(blobs: Blobs) -> None:
    head = fit_head(*blobs(50), KEYS)
    with pytest.raises(ValueError, match="24"):
        head.predict_proba(np.zeros((2, 23), np.float32))


def test_predicting_nothing_gives_an_empty_table(blobs: Blobs) -> None:
    head = fit_head(*blobs(50), KEYS)
    assert head.predict_proba(np.zeros((0, 24), np.float32)).shape == (0, 4)


def test_fitting_leaves_the_number_of_threads_as_it_was(blobs: Blobs) -> None:
    before = torch.get_num_threads()
    fit_head(*blobs(50), KEYS)
    assert torch.get_num_threads() == before


def test_the_minimiser_solves_problems_of_unlike_difficulty_at_once() -> None:
    scales = torch.tensor([[1.0, 1.0], [1.0, 1000.0], [30.0, 0.1]], dtype=torch.float64)
    goal = torch.tensor([[1.0, 2.0], [-3.0, 4.0], [5.0, -6.0]], dtype=torch.float64)
    asked: list[int] = []

    def objective(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(len(which))
        gap = x - goal[which]
        return (scales[which] * gap**2).sum(1), 2 * scales[which] * gap

    found = minimise(objective, torch.zeros_like(goal), precondition=lambda g: g, tolerance=1e-16)
    assert bool(found.converged.all())
    torch.testing.assert_close(found.x, goal, atol=1e-6, rtol=0)
    assert asked[-1] < 3, "finished problems are still being evaluated"


def test_the_minimiser_says_when_it_was_cut_short() -> None:
    def objective(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.cosh(x - 5).sum(1), torch.sinh(x - 5)

    start = torch.zeros(1, 2, dtype=torch.float64)
    found = minimise(objective, start, precondition=lambda g: g, tolerance=1e-12, max_iterations=3)
    assert not bool(found.converged.any())
    assert found.iterations == 3


def test_the_minimiser_does_not_call_it_a_minimum_when_no_step_helps() -> None:
    def wrong_way(x: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x**2).sum(1) + 1, -2 * x

    found = minimise(
        wrong_way, torch.ones(1, 2, dtype=torch.float64), precondition=lambda g: g, tolerance=1e-12
    )
    assert not bool(found.converged.any())
    torch.testing.assert_close(found.x, torch.ones(1, 2, dtype=torch.float64))
