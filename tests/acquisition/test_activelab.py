"""Relabel or label anew: the values by hand, and what one more answer does."""

import numpy as np
import pytest

from acquisition.activelab import MISSING, Trust, activelab, majority, trust_of
from acquisition.errors import PoolError

EQUAL = Trust(np.ones(2), 1.0, 0.9)
N = MISSING


def scores(labels, proba, unlabelled=None, trust=EQUAL):
    return activelab(np.array(labels), np.array(proba), unlabelled, trust=trust)


def test_an_unlabelled_item_is_as_sure_as_the_model_drawn_towards_chance():
    found = scores([[0, N]], [[0.7, 0.3]], np.array([[0.7, 0.3], [0.5, 0.5]]))
    # (1 * 0.7 + 1 / 2) / 2 and (0.5 + 0.5) / 2.
    np.testing.assert_allclose(found.unlabelled, [0.6, 0.5])


def test_labelled_items_by_hand():
    found = scores([[0, N], [0, 0], [0, 1]], [[0.7, 0.3]] * 3)
    assert found.consensus.tolist() == [0, 0, 0]
    # Model 0.7; an answer says 0.9 for its class and 0.1 for the other.
    np.testing.assert_allclose(found.quality, [1.6 / 2, 2.5 / 3, 1.7 / 3])
    np.testing.assert_allclose(found.score, [(1.6 + 0.5) / 3, (2.5 + 0.5) / 4, (1.7 + 0.5) / 4])


def test_an_agreeing_answer_raises_the_score_and_a_dissenting_one_lowers_it():
    once, agreed, disputed = scores([[0, N], [0, 0], [0, 1]], [[0.7, 0.3]] * 3).score
    assert disputed < once < agreed


def test_both_kinds_compare():
    """A disputed item is asked about before a new one of which the model is sure, and after one where it is not."""
    found = scores([[0, 1]], [[0.6, 0.4]], np.array([[0.95, 0.05], [0.5, 0.5]]))
    assert found.unlabelled[1] < found.score[0] < found.unlabelled[0]


def test_ties_of_a_majority_go_with_the_model():
    labels = np.array([[0, 1, N], [0, 1, 1], [2, N, N]])
    proba = np.array([[0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05]])
    assert majority(labels, proba).tolist() == [1, 1, 2]


def test_trust_is_agreement_beyond_the_commonest_class():
    labels = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, N, N]])
    proba = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    trust = trust_of(labels, proba)
    # On four items with several answers the commonest class is half; the model errs on one of them.
    assert trust.model == pytest.approx((1 - 0.25 / 0.5) * np.sqrt(13 / 5))
    # Of eight answers of others: the first two are alike in 7, the third in 6.
    np.testing.assert_allclose(trust.annotators, [1 - (1 / 8) / 0.5, 1 - (1 / 8) / 0.5, 1 - (2 / 8) / 0.5])
    # Shares of the consensus: 1, 2/3, 1, 1.
    assert trust.agreement == pytest.approx((3 + 2 / 3) / 4)
    assert trust.average == pytest.approx(2 / 3)


def test_without_overlap_everybody_is_trusted_alike():
    trust = trust_of(np.array([[0, N], [N, 1]]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert trust.annotators.tolist() == [1, 1]
    assert (trust.model, trust.agreement) == (1, 1)


def test_an_annotator_without_overlap_gets_the_average():
    labels = np.array([[0, 0, N], [1, 1, N], [0, 1, N], [N, N, 1]])
    weights = trust_of(labels, np.full((4, 2), 0.5)).annotators
    assert weights[2] == pytest.approx((weights[0] + weights[1]) / 2)


def test_the_worst_annotator_and_the_worst_model_keep_a_little_weight():
    labels = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 1], [1, 1, 0]])
    trust = trust_of(labels, np.array([[0.1, 0.9], [0.9, 0.1]] * 2))
    assert 0 < trust.annotators[2] < 1e-3
    assert 0 < trust.model < 1e-3
    found = activelab(labels, np.array([[0.1, 0.9], [0.9, 0.1]] * 2))
    assert np.all((found.score > 0) & (found.score < 1))


def test_quality_lies_between_chance_and_certainty_and_sums_to_one_over_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, (40, 5))
    labels[:, 0] = np.maximum(labels[:, 0], 0)
    found = activelab(labels, rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.ones(3), 7))
    assert np.all((found.quality > 0) & (found.quality <= 1))
    assert found.unlabelled.shape == (7,)
    assert np.all(found.unlabelled >= 1 / 3 - 1e-9)


@pytest.mark.parametrize(
    ("labels", "proba"),
    [
        (np.array([0, 1]), np.full((2, 2), 0.5)),
        (np.array([[0.0], [1.0]]), np.full((2, 2), 0.5)),
        (np.array([[0], [1]]), np.full((3, 2), 0.5)),
        (np.array([[0], [2]]), np.full((2, 2), 0.5)),
        (np.array([[0], [-2]]), np.full((2, 2), 0.5)),
        (np.array([[0], [N]]), np.full((2, 2), 0.5)),
    ],
)
def test_what_does_not_fit_is_refused(labels, proba):
    with pytest.raises(PoolError):
        activelab(labels, proba)


def test_unlabelled_items_of_other_classes_are_refused():
    with pytest.raises(PoolError, match="unlabelled"):
        activelab(np.array([[0]]), np.full((1, 2), 0.5), np.full((1, 3), 1 / 3))
