"""Balance of expected classes, with the worked examples of its specification."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.balance import class_balance
from acquisition.errors import PoolError


def rng(seed=0):
    return np.random.default_rng(seed)


def balance(pseudo, counts, n, **options):
    return class_balance(np.array(pseudo), np.array(counts, dtype=float), n, rng(), **options)


def test_perfect_guesses_and_equal_classes_give_exactly_one_of_each():
    pseudo = np.tile(np.arange(5), 8)
    for seed in range(10):
        chosen = class_balance(pseudo, np.zeros(5), 5, rng(seed))
        assert sorted(pseudo[chosen].tolist()) == [0, 1, 2, 3, 4]


def test_unequal_counts_end_within_one_of_each_other():
    pseudo = np.tile(np.arange(3), 10)
    counts = np.array([3, 0, 1])
    chosen = class_balance(pseudo, counts, 4, rng())
    final = counts + np.bincount(pseudo[chosen], minlength=3)
    assert final.max() - final.min() <= 1


def test_a_class_without_candidates_changes_nothing_for_the_others():
    """Of three classes one never comes up; the others get as many as if it did not exist."""
    pseudo = np.array([0] * 12 + [1] * 12)
    chosen = class_balance(pseudo, np.array([4, 0, 0]), 10, rng())
    assert np.bincount(pseudo[chosen]).tolist() == [3, 7]
    alone = class_balance(pseudo, np.array([4, 0]), 10, rng())
    assert np.bincount(pseudo[alone]).tolist() == [3, 7]


def test_the_reference_code_falls_into_random_draws_there():
    """Class 2 is the rarest and has no candidate: every one of the ten draws is random, as published."""
    pseudo = np.array([0] * 90 + [1] * 10)
    picks = [
        np.bincount(
            pseudo[class_balance(pseudo, np.array([9, 9, 0]), 10, rng(seed), reference_cascade=True)],
            minlength=2,
        )
        for seed in range(200)
    ]
    # Random draws follow the 9:1 of the candidates; balanced ones would be 5 and 5.
    assert np.mean(picks, axis=0) == pytest.approx([9, 1], abs=0.3)
    fixed = pseudo[class_balance(pseudo, np.array([9, 9, 0]), 10, rng())]
    assert np.bincount(fixed).tolist() == [5, 5]


def test_as_many_candidates_as_wanted_are_all_chosen():
    """What a random base gives the wrapper: nothing to choose from, so the set stays as it is."""
    pseudo = rng(3).integers(0, 4, 12)
    assert sorted(class_balance(pseudo, np.array([5, 0, 2, 9]), 12, rng())) == list(range(12))


def test_the_best_of_a_class_comes_first_or_any():
    pseudo = np.zeros(50, dtype=int)
    assert balance(pseudo, [0], 5).tolist() == [0, 1, 2, 3, 4]
    drawn = balance(pseudo, [0], 5, pick="random").tolist()
    assert drawn != [0, 1, 2, 3, 4]
    assert len(set(drawn)) == 5


def test_equally_rare_classes_come_in_no_fixed_order():
    first = {int(class_balance(np.array([0, 1, 2]), np.zeros(3), 1, rng(seed))[0]) for seed in range(40)}
    assert first == {0, 1, 2}


def test_a_class_that_is_never_short_comes_last():
    assert balance([0, 0, 1, 1], [np.inf, 50], 3).tolist()[:2] == [2, 3]


def test_an_expected_class_that_does_not_exist_is_refused():
    with pytest.raises(PoolError, match=r"0\.\.1"):
        balance([0, 2], [0, 0], 1)


@given(
    pseudo=st.lists(st.integers(0, 4), max_size=40),
    counts=st.lists(st.integers(0, 9), min_size=5, max_size=5),
    n=st.integers(0, 50),
    cascade=st.booleans(),
)
def test_as_many_as_wanted_and_none_twice(pseudo, counts, n, cascade):
    chosen = balance(np.array(pseudo, dtype=int), counts, n, reference_cascade=cascade)
    assert len(chosen) == min(n, len(pseudo)) == len(set(chosen.tolist()))


@given(pseudo=st.lists(st.integers(0, 3), min_size=1, max_size=60), n=st.integers(1, 60))
def test_no_class_with_candidates_left_is_two_behind(pseudo, n):
    pseudo = np.array(pseudo)
    chosen = balance(pseudo, [0, 0, 0, 0], n)
    picked = np.bincount(pseudo[chosen], minlength=4)
    left = np.bincount(pseudo, minlength=4) - picked
    for c in range(4):
        if left[c]:
            assert picked[c] >= picked.max() - 1
