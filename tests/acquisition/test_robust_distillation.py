"""The distribution that an adversary can hurt least, and draws from it."""

import numpy as np
import pytest
from scipy.optimize import linprog

from acquisition import registry
from acquisition.pool import Labeled, Pool
from acquisition.strategies.robust_distillation import worst_case_distribution


def worst_gain(q, gains, wrong, harm):
    """What is left when the adversary spoils the answers that are worth most, the last one in part."""
    worth = np.sort(q * gains)[::-1]
    whole = int(wrong)
    spoilt = worth[:whole].sum() + (wrong - whole) * (worth[whole] if whole < len(worth) else 0)
    return worth.sum() - harm * spoilt


def optimum(gains, wrong, harm):
    """The same by linear programming: q, the threshold s and the excess z of each item over it."""
    n = len(gains)
    cost = np.concatenate([-gains, [harm * wrong], np.full(n, harm)])
    above = np.hstack([np.diag(gains), -np.ones((n, 1)), -np.eye(n)])
    sums = np.concatenate([np.ones(n), np.zeros(n + 1)])[None]
    found = linprog(cost, A_ub=above, b_ub=np.zeros(n), A_eq=sums, b_eq=[1], bounds=[(0, None)] * (2 * n + 1))
    return -found.fun


def test_three_items_and_one_wrong_answer():
    q = worst_case_distribution(np.array([0.9, 0.5, 0.1]), 1, 1)
    np.testing.assert_allclose(q, [0.5 / 1.4, 0.9 / 1.4, 0])


def test_without_wrong_answers_all_goes_to_the_best():
    assert worst_case_distribution(np.array([0.2, 0.9, 0.5]), 0, 1).tolist() == [0, 1, 0]
    assert worst_case_distribution(np.array([0.9, 0.9, 0.5]), 0, 1).tolist() == [0.5, 0.5, 0]


def test_with_nothing_but_wrong_answers_it_is_uniform():
    assert worst_case_distribution(np.array([0.9, 0.5]), 2, 1).tolist() == [0.5, 0.5]
    assert worst_case_distribution(np.array([0.9, 0.5]), 1, 2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("harm", [1, 2])
@pytest.mark.parametrize("seed", range(10))
def test_no_other_distribution_does_better_in_the_worst_case(harm, seed):
    rng = np.random.default_rng(seed)
    gains, wrong = rng.uniform(0.01, 1, 12), rng.uniform(0.1, 5)
    q = worst_case_distribution(gains, wrong, harm)
    assert q.sum() == pytest.approx(1)
    assert worst_gain(q, gains, wrong, harm) == pytest.approx(optimum(gains, wrong, harm), abs=1e-7)


def select(gains, n, *, seed=0, multi_label=False, **params):
    gains = np.asarray(gains, dtype=np.float64)
    # Two classes: 1 - margin = 2 * the smaller probability.
    proba = np.stack([1 - gains / 2, gains / 2], axis=1)
    return registry.get("robust_distillation").select(
        Pool(np.arange(10, 10 + len(gains)), proba=proba, multi_label=multi_label),
        Labeled(ids=np.empty(0, np.int64), n_classes=2, multi_label=multi_label),
        n,
        np.random.default_rng(seed),
        **params,
    )


def test_items_are_drawn_as_often_as_the_distribution_says():
    firsts = [select([0.9, 0.5, 0.1], 1, errors=1 / 3, seed=seed).order[0] for seed in range(400)]
    share = firsts.count(10) / 400
    assert share == pytest.approx(0.5 / 1.4, abs=0.1)
    assert 12 not in firsts


def test_items_outside_the_distribution_follow_by_gain():
    ranking = select([0.1, 0.9, 0.3, 0.2], 4, errors=0)
    assert ranking.order.tolist() == [11, 12, 13, 10]
    np.testing.assert_allclose(ranking.utility, [0.1, 0.9, 0.3, 0.2])
    assert ranking.reason(11)["probability_drawn"] == 1


def test_it_says_when_no_choice_helps():
    assert [note.code for note in select([0.9, 0.5], 1, errors=0.5, harm=2).notes] == ["hopeless"]
    assert select([0.9, 0.5], 1, errors=0.4, harm=2).notes == ()


def test_certain_items_are_drawn_too_when_nothing_else_is_there():
    assert set(select([0.0, 0.0, 0.0], 3).order.tolist()) == {10, 11, 12}


def test_against_the_adversary_it_gains_more_than_margin_sampling():
    gains = np.linspace(0.01, 1, 50)
    q = worst_case_distribution(gains, 12.5, 1)
    greedy = np.where(gains >= np.sort(gains)[-10], 0.1, 0.0)
    assert worst_gain(greedy, gains, 12.5, 1) == pytest.approx(0)
    assert worst_gain(q, gains, 12.5, 1) > 0.3


def test_gains_of_labels_are_reduced():
    ranking = select([0.2, 0.6], 2, multi_label=True, reduction="max")
    # Each row has the labels 1 - g/2 and g/2: both have the margin score g.
    np.testing.assert_allclose(ranking.utility, [0.2, 0.6])
