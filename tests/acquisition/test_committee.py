"""Scores of disagreement: values by hand, bounds, and the same on numpy and torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acquisition import committee
from acquisition.committee import map_draws, member_params
from acquisition.params import check_properties

SINGLE = (
    committee.variation_ratio,
    committee.dissent,
    committee.vote_entropy,
    committee.mean_entropy,
    committee.bald,
    committee.mean_divergence,
    committee.largest_divergence,
    committee.mean_deviation,
)
BINARY = (
    committee.binary_variation_ratio,
    committee.binary_vote_entropy,
    committee.binary_mean_entropy,
    committee.binary_bald,
    committee.binary_largest_divergence,
    committee.binary_deviation,
)


def draws_of(*items):
    """Draws (n, C, M) of items that are given as lists of the members' distributions."""
    return np.array(items, dtype=np.float64).swapaxes(1, 2)


def named(functions):
    return pytest.mark.parametrize("score", functions, ids=lambda score: score.__name__)


# Members that contradict each other, that doubt together, and one that is sure beside one that doubts.
CONFLICT, DOUBT, MIXED = [(1, 0), (0, 1)], [(0.5, 0.5), (0.5, 0.5)], [(1, 0), (0.5, 0.5)]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        # Votes: 1 and 1; a tie goes to the first class, so 2 and 0 twice.
        (committee.variation_ratio, (0.5, 0, 0)),
        (committee.dissent, (0.5, 0, 0)),
        (committee.vote_entropy, (1, 0, 0)),
        # Means (1/2, 1/2) twice and (3/4, 1/4): 1, 1 and 0.811278 bits.
        (committee.mean_entropy, (1, 1, 0.8112781245)),
        # Less the members' own entropies: 0 and 0; 1 and 1; 0 and 1 bits.
        (committee.bald, (1, 0, 0.3112781245)),
        (committee.mean_divergence, (1, 0, 0.3112781245)),
        # log2(1 / (3/4)) of the sure member.
        (committee.largest_divergence, (1, 0, 0.4150374993)),
        # Deviations 1/2, 0 and 1/4 in both classes.
        (committee.mean_deviation, (1, 0, 0.5)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_scores_have_the_values_of_their_formulas(score, expected):
    np.testing.assert_allclose(map_draws(score, draws_of(CONFLICT, DOUBT, MIXED)), expected, atol=1e-10)


def test_five_votes_of_which_three_agree():
    votes = draws_of([np.eye(3)[vote] for vote in (0, 0, 1, 2, 0)])
    assert map_draws(committee.variation_ratio, votes)[0] == pytest.approx(0.4)
    assert map_draws(committee.dissent, votes)[0] == pytest.approx(0.4)
    # -(3/5 log 3/5 + 2/5 log 1/5) / log 3
    assert map_draws(committee.vote_entropy, votes)[0] == pytest.approx(0.8649735207)


def test_the_mode_and_the_mean_may_decide_differently():
    lukewarm = draws_of([(0.51, 0.49), (0.51, 0.49), (0.0, 1.0)])
    assert map_draws(committee.variation_ratio, lukewarm)[0] == pytest.approx(1 / 3)
    assert map_draws(committee.dissent, lukewarm)[0] == pytest.approx(2 / 3)


def test_disagreement_is_measured_by_what_is_possible():
    three_classes = draws_of([(1, 0, 0), (0, 1, 0)])
    assert map_draws(committee.bald, three_classes)[0] == pytest.approx(np.log(2) / np.log(3))
    # Two members cannot vote for more than two classes.
    assert map_draws(committee.vote_entropy, three_classes)[0] == pytest.approx(1)
    one_of_four = draws_of([(1, 0), (0, 1), (0, 1), (0, 1)])
    assert map_draws(committee.largest_divergence, one_of_four)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (committee.binary_variation_ratio, 1.0),
        (committee.binary_vote_entropy, 1.0),
        # The mean is 0.6: H(0.6); less (H(0.9) + H(0.3)) / 2.
        (committee.binary_mean_entropy, 0.9709505945),
        (committee.binary_bald, 0.2958073480),
        # 0.9 log2(0.9 / 0.6) + 0.1 log2(0.1 / 0.4)
        (committee.binary_largest_divergence, 0.3264662506),
        (committee.binary_deviation, 0.6),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_label_of_many_has_a_score_of_its_own(score, expected):
    # One item, two labels, two members: they differ about the first label and agree about the second.
    block = np.array([[[0.9], [0.3]], [[1.0], [1.0]]])
    np.testing.assert_allclose(score(block)[:, 0], [expected, 0], atol=1e-9)


@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 10**6))
def test_scores_stay_within_0_and_1_and_divergence_is_bald(classes, members, seed):
    rng = np.random.default_rng(seed)
    draws = rng.dirichlet(np.full(classes, 0.2), (8, members)).swapaxes(1, 2)
    for score in SINGLE:
        values = map_draws(score, draws)
        assert np.all((values >= 0) & (values <= 1 + 1e-9)), score.__name__
    np.testing.assert_allclose(
        map_draws(committee.mean_divergence, draws), map_draws(committee.bald, draws), atol=1e-9
    )
    for score in BINARY:
        values = score(draws.transpose(1, 2, 0))
        assert values.shape == (classes, 8)
        assert np.all((values >= 0) & (values <= 1 + 1e-9)), score.__name__


@named(SINGLE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_gives_what_numpy_gives_at_the_ends_too(score, dtype):
    draws = np.random.default_rng(0).dirichlet(np.ones(4), (300, 6)).swapaxes(1, 2).astype(dtype)
    draws[:4] = np.eye(4)[:, :, None]
    result = map_draws(score, torch.tensor(draws))
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy(), map_draws(score, draws), rtol=1e-5, atol=1e-6)
    assert np.all(map_draws(score, draws)[:4] == 0)


@named(SINGLE)
def test_blocks_of_rows_give_what_one_row_gives(score):
    draws = np.random.default_rng(0).dirichlet(np.ones(10), (9_000, 20)).swapaxes(1, 2).astype(np.float32)
    whole = map_draws(score, draws)
    assert whole.shape == (9_000,)
    for row in (0, 655, 656, 8_999):
        np.testing.assert_allclose(whole[row], map_draws(score, draws[row : row + 1])[0], rtol=1e-5)


@named(SINGLE)
def test_one_class_one_member_and_no_rows_are_fine(score):
    assert map_draws(score, np.ones((2, 1, 3))).tolist() == [0, 0]
    assert np.all(np.isfinite(map_draws(score, np.full((2, 4, 1), 0.25))))
    assert map_draws(score, np.ones((0, 4, 3))).shape == (0,)


def test_equal_votes_for_other_classes_are_ties_to_the_last_bit():
    votes = [(0, 0, 0, 1, 1, 2, 3), (3, 3, 3, 0, 0, 2, 1), (1, 2, 2, 0, 0, 0, 3)]
    draws = draws_of(*[[np.eye(4)[vote] for vote in item] for item in votes])
    assert len(set(map_draws(committee.vote_entropy, draws).tolist())) == 1


def test_small_disagreement_of_sure_members_is_not_lost_in_single_precision():
    apart = np.array([1e-5, 3e-5])
    draws = np.stack([1 - apart, apart])[None].astype(np.float32)
    exact = map_draws(committee.bald, draws.astype(np.float64))[0]
    assert exact > 0
    assert map_draws(committee.bald, draws)[0] == pytest.approx(exact, rel=0.1)


def test_how_members_are_made_is_told_by_valid_parameters():
    check_properties(member_params())
    assert member_params(kind="dropout", members=20)["member_kind"]["default"] == "dropout"
    assert member_params(members=20)["members"]["default"] == 20
