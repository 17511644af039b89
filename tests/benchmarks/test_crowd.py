"""Real answers of real people: as many as their README says, and no method worse than counting heads."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import crowd
from benchmarks.crowd import Answers
from benchmarks.datasets import DataMissing

# Items, people, answers, classes, share of right answers.
FACTS = {
    "bluebirds": (108, 39, 4_212, 2, 0.636),
    "sentiment": (500, 143, 10_000, 2, 0.894),
    "cifar10n": (5_000, 128, 15_000, 10, 0.816),
}


def load(name: str) -> Answers:
    try:
        return crowd.read(name)
    except DataMissing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", FACTS)
def test_the_answers_are_what_their_readme_says(name: str) -> None:
    answers = load(name)
    right = float((answers.labels == answers.truth[answers.items]).mean())
    facts = (len(answers.truth), len(np.unique(answers.people)), len(answers.items), answers.classes)
    assert facts == FACTS[name][:4]
    assert right == pytest.approx(FACTS[name][4], abs=6e-4)


@pytest.mark.parametrize("name", ["bluebirds", "sentiment"])
def test_no_method_is_worse_than_the_majority_beyond_chance(name: str) -> None:
    found = crowd.measure(load(name))
    majority = found["majority"][0]
    for method in crowd.METHODS:
        _, _, high = crowd.interval(found[method][0] - majority, np.random.default_rng(0))
        assert high >= 0, method


def test_ties_count_as_the_chance_of_being_right() -> None:
    shares = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    assert crowd.right_by_shares(shares, np.array([0, 0, 0])).tolist() == [0.5, 1.0, 0.0]


def test_fewer_answers_are_a_random_part_of_each_item_s() -> None:
    items = np.repeat(np.arange(4), [5, 2, 3, 1])
    answers = Answers(items, np.arange(11), np.zeros(11, dtype=np.int64), np.zeros(4, dtype=np.int64), 2)
    some = answers.some(3, np.random.default_rng(1))
    assert np.bincount(some.items).tolist() == [3, 2, 3, 1]
    assert set(some.people) <= set(range(11))
    assert answers.some(3, np.random.default_rng(2)).people.tolist() != some.people.tolist()
    assert answers.some(0, np.random.default_rng(0)) is answers
