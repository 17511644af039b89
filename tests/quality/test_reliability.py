"""How good people are, whom to ask again, and who is getting worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from annotator.quality.crowd import Crowd
from annotator.quality.reliability import drifted, near_the_best, support, upper_bounds, wilson
from annotator.quality.votes import Votes

KEYS = ("cat", "dog")


def votes_of(*lines: tuple[int, int, int]) -> Votes:
    rows, people, labels = (np.array(column, dtype=np.int64) for column in zip(*lines, strict=True))
    return Votes(KEYS, rows, people, labels)


def test_a_share_has_wilson_s_interval() -> None:
    found = wilson(8, 10)
    expected = stats.binomtest(8, 10).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((0.8, expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0).value is None


def test_each_answer_is_judged_without_itself() -> None:
    votes = votes_of((0, 1, 0), (0, 2, 0), (0, 3, 1), (4, 1, 0))
    shares = np.array([[2 / 3, 1 / 3], [1.0, 0.0]])
    right = support(votes, np.array([0, 4]), shares, {})
    assert right[:3].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert np.isnan(right[3]), "nobody else answered"


def test_gold_and_decisions_need_no_others() -> None:
    votes = votes_of((4, 1, 0), (4, 2, 1))
    right = support(votes, np.array([4]), np.array([[0.5, 0.5]]), {4: [1]})
    assert right.tolist() == [0.0, 1.0]


def test_by_a_model_the_others_alone_say_what_is_right() -> None:
    # Two people of accuracy 0.8 and 0.9 and an even prior: without the first, the second's word is worth 0.9, and so on.
    tables = np.array([[[0.8, 0.2], [0.2, 0.8]], [[0.9, 0.1], [0.1, 0.9]]])
    votes = votes_of((0, 1, 0), (0, 2, 0), (1, 1, 0), (1, 2, 1))
    crowd = Crowd(np.arange(2), np.zeros((2, 2)), np.array([1, 2]), tables, np.array([0.5, 0.5]))
    right = support(votes, np.arange(2), crowd.proba, {}, model=crowd)
    assert right.tolist() == pytest.approx([0.9, 0.8, 0.1, 0.2])


def test_of_several_classes_the_others_are_counted_class_by_class() -> None:
    labels = np.array([[True, False], [True, True], [False, False]])
    votes = Votes(KEYS, np.zeros(3, dtype=np.int64), np.arange(3), labels)
    right = support(votes, np.array([0]), np.array([[2 / 3, 1 / 3]]), {})
    assert right.tolist() == pytest.approx([0.5, 0.25, 0.25])
    told = support(votes, np.array([0]), np.array([[2 / 3, 1 / 3]]), {0: [0]})
    assert told.tolist() == [1.0, 0.0, 0.0]


def test_the_bound_is_that_of_a_t_interval_with_a_right_and_a_wrong_answer_added() -> None:
    answers = np.array([1, 1, 1, 0, 1, 1.0])
    seen = np.append(answers, [0.0, 1.0])
    expected = seen.mean() + stats.t.ppf(0.975, 7) * seen.std(ddof=1) / np.sqrt(8)
    assert upper_bounds([answers]).tolist() == pytest.approx([expected])


def test_those_who_may_be_near_the_best_are_asked_and_newcomers_with_them() -> None:
    good, bad, new = np.ones(60), np.tile([1.0, 0.0], 60), np.zeros(0)
    bounds = upper_bounds([good, bad, new])
    assert bounds[2] > 1, "of a newcomer nothing is known"
    assert near_the_best(bounds).tolist() == [True, False, True]
    assert near_the_best(np.zeros(0)).tolist() == []


def test_somebody_who_gets_worse_is_noticed_and_a_steady_one_is_not() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random(150) < 0.95, rng.random(50) < 0.6
    assert drifted(np.concatenate([before, after]))[0]
    assert not drifted(rng.random(200) < 0.8)[0]
    assert not drifted(np.concatenate([after, before]))[0], "getting better is no alarm"
    assert drifted(np.zeros(20, dtype=bool)) == (False, 1.0)


def test_steady_people_are_rarely_suspected() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(drifted(rng.random(300) < 0.85)[0] for _ in range(300))
    assert alarms <= 9
