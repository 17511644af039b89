import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acquisition import scores

SINGLE = (scores.least_confidence, scores.margin, scores.ratio, scores.entropy)
BINARY = (scores.binary_least_confidence, scores.binary_margin, scores.binary_entropy)
# A contest of two classes, and three classes without a winner.
CONTEST = np.array([[0.5, 0.49, 0.01], [0.4, 0.3, 0.3]])


def named(functions):
    return pytest.mark.parametrize("score", functions, ids=lambda score: score.__name__)


def test_margin_prefers_the_contest_where_the_others_prefer_the_flat_row():
    assert scores.margin(CONTEST)[0] > scores.margin(CONTEST)[1]
    assert scores.ratio(CONTEST)[0] > scores.ratio(CONTEST)[1]
    assert scores.least_confidence(CONTEST)[0] < scores.least_confidence(CONTEST)[1]
    assert scores.entropy(CONTEST)[0] < scores.entropy(CONTEST)[1]


def test_scores_have_the_values_of_their_formulas():
    np.testing.assert_allclose(scores.least_confidence(CONTEST), [0.5, 0.6])
    np.testing.assert_allclose(scores.margin(CONTEST), [0.99, 0.9])
    np.testing.assert_allclose(scores.ratio(CONTEST), [0.98, 0.75])
    np.testing.assert_allclose(
        scores.entropy(CONTEST), -(CONTEST * np.log(CONTEST)).sum(axis=1) / np.log(3), rtol=1e-12
    )
    np.testing.assert_allclose(scores.binary_least_confidence(np.array([[0.2, 0.9]])), [[0.4, 0.2]])
    np.testing.assert_allclose(scores.binary_margin(np.array([[0.2, 0.9]])), [[0.4, 0.2]])
    np.testing.assert_allclose(scores.binary_entropy(np.array([[0.5, 0.25]])), [[1.0, 0.8112781245]])


@given(arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1)))
def test_two_classes_have_one_order_under_all_scores(first):
    proba = np.stack([first, 1 - first], axis=1)
    by_confidence = np.argsort(scores.least_confidence(proba), kind="stable")
    for score in (scores.margin, scores.entropy):
        # Rounding may tie what differs in the last digit, so values are compared and not places.
        ordered = score(proba)[by_confidence]
        assert np.all(np.diff(ordered) >= -1e-12)


@named(SINGLE)
@pytest.mark.parametrize("classes", [2, 3, 64, 65, 200])
def test_certain_and_uniform_rows_are_the_ends_of_the_scale(score, classes):
    proba = np.stack([np.eye(classes)[1], np.full(classes, 1 / classes)])
    certain, uniform = score(proba)
    assert certain == 0
    assert uniform == pytest.approx(1 if score is not scores.least_confidence else 1 - 1 / classes)


@named(BINARY)
def test_certain_and_even_labels_are_the_ends_of_the_scale(score):
    np.testing.assert_allclose(score(np.array([[0.0, 1.0, 0.5]])), [[0, 0, 1]], atol=1e-15)


@named(SINGLE)
@pytest.mark.parametrize("classes", [3, 10, 100])
def test_blocks_of_rows_give_what_one_row_gives(score, classes):
    proba = np.random.default_rng(0).dirichlet(np.ones(classes), 60_000 // classes * 10).astype(np.float32)
    whole = score(proba)
    for row in (0, 1, len(proba) // 2, len(proba) - 1):
        np.testing.assert_allclose(whole[row], score(proba[row : row + 1])[0], rtol=1e-5)
    assert whole.shape == (len(proba),)
    assert whole.dtype == np.float32


@named(SINGLE)
def test_one_class_and_no_rows_are_fine(score):
    assert score(np.ones((2, 1))).shape == (2,)
    assert np.all(np.isfinite(score(np.ones((2, 1)))))
    assert score(np.ones((0, 4))).shape == (0,)


@named(SINGLE + BINARY)
def test_torch_gives_what_numpy_gives(score):
    proba = np.random.default_rng(0).dirichlet(np.ones(5), 300)
    proba[:5] = np.eye(5)
    result = score(torch.tensor(proba))
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy(), score(proba), rtol=1e-12, atol=1e-15)


@named(SINGLE)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(0, 1, width=32))
)
def test_scores_stay_within_0_and_1(score, weights):
    weights[:, 0] += 1e-3
    result = score(weights / weights.sum(axis=1, keepdims=True))
    assert np.all((result >= 0) & (result <= 1 + 1e-6))
