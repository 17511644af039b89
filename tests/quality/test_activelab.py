"""ActiveLab: new item or another label."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.quality import activelab
from annotator.quality.activelab import Weights
from annotator.quality.votes import Votes

KEYS = ("cat", "dog")


def votes_of(*lines: tuple[int, int, int]) -> Votes:
    rows, people, labels = (np.array(column, dtype=np.int64) for column in zip(*lines, strict=True))
    return Votes(KEYS, rows, people, labels)


def even(people: int = 1, agreement: float = float("nan")) -> Weights:
    return Weights(1.0, np.arange(people), np.ones(people), agreement)


def test_a_new_item_at_seven_tenths_with_equal_weights_scores_six_tenths() -> None:
    assert activelab.unlabelled_scores(np.array([[0.7, 0.3]]), even()).tolist() == pytest.approx([0.6])


def test_a_labelled_item_by_hand() -> None:
    # Two agreeing people and the model, each of weight 1, rho = 0.9, p = 0.6: q = (0.6 + 2 * 0.9) / 3 = 0.8;
    # s = (3 * 0.8 + 1/2) / 4 = 0.725.
    votes = votes_of((5, 0, 0), (5, 1, 0))
    scores = activelab.labelled_scores(
        votes, np.array([5]), np.array([0]), np.array([[0.6, 0.4]]), even(2, agreement=0.9)
    )
    assert scores.tolist() == pytest.approx([0.725])


def test_weights_by_hand() -> None:
    # Items 0..3 have two votes each, of people 0 and 1, who differ on item 3 only; half the labels are cats: e0 = 1/2.
    votes = votes_of((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1), (2, 0, 0), (2, 1, 0), (3, 0, 1), (3, 1, 0))
    rows, targets = np.arange(4), np.array([0, 1, 0, 1])
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]])
    found = activelab.weigh(votes, rows, targets, proba)
    # Each agrees with the other on 3 of 4: 1 - (1/4) / (1/2). The model misses one of four, with two labels an item.
    assert found.weight.tolist() == pytest.approx([0.5, 0.5])
    assert found.model == pytest.approx(0.5 * np.sqrt(2))
    assert found.agreement == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_an_agreeing_label_raises_the_score_and_a_disagreeing_one_lowers_it() -> None:
    rows, targets, proba = np.array([0]), np.array([0]), np.array([[0.7, 0.3]])
    weights = even(3, agreement=0.9)

    def score(*labels: int) -> float:
        votes = votes_of(*((0, person, label) for person, label in enumerate(labels)))
        return float(activelab.labelled_scores(votes, rows, targets, proba, weights)[0])

    assert score(0, 0, 1) < score(0, 0) < score(0, 0, 0)


def test_without_two_answers_to_any_item_everybody_counts_alike() -> None:
    votes = votes_of((0, 0, 0), (1, 1, 1))
    proba = np.array([[0.9, 0.1], [0.6, 0.4]])
    weights = activelab.weigh(votes, np.arange(2), np.array([0, 1]), proba)
    assert (weights.model, weights.weight.tolist()) == (1.0, [1.0, 1.0])
    scores = activelab.labelled_scores(votes, np.arange(2), np.array([0, 1]), proba, weights)
    # (2 * p + 1/2) / 3 of the label given: the one that the model contradicts is worth asking again.
    assert scores.tolist() == pytest.approx([(1.8 + 0.5) / 3, (0.8 + 0.5) / 3])


def test_somebody_without_company_weighs_as_the_others_do_on_average() -> None:
    votes = votes_of((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 0), (2, 7, 1))
    proba = np.full((3, 2), 0.5)
    weights = activelab.weigh(votes, np.arange(3), np.array([0, 1, 1]), proba)
    assert np.isfinite(weights.weight).all()
    assert weights.weight[2] == pytest.approx(weights.weight[:2].mean())


def test_permuting_items_permutes_scores_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    items = 30
    targets = rng.integers(0, 2, items)
    proba = rng.dirichlet([1, 1], items)
    lines = [(row, person, int(rng.integers(0, 2))) for row in range(items) for person in range(3)]
    votes = votes_of(*lines)
    scores = activelab.labelled_scores(
        votes, np.arange(items), targets, proba, activelab.weigh(votes, np.arange(items), targets, proba)
    )
    order = rng.permutation(items)
    turned = votes_of(*((int(order[row]), person, label) for row, person, label in lines))
    inverse = np.argsort(order)
    again = activelab.labelled_scores(
        turned, np.arange(items), targets[inverse], proba[inverse],
        activelab.weigh(turned, np.arange(items), targets[inverse], proba[inverse]),
    )  # fmt: skip
    assert again[order] == pytest.approx(scores)
