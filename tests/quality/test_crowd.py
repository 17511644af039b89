"""Truth from votes: worked by hand, indifferent to the names of things, sane where little is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.quality.crowd import Crowd, Method, posterior
from annotator.quality.errors import VotesError

METHODS: tuple[Method, ...] = ("dawid_skene", "one_coin")
# Three items, three people, two classes: A, B and C say 0 0 1 of the first, 1 1 1 of the second, 0 1 1 of the third.
TASKS = np.repeat([0, 1, 2], 3)
WORKERS = np.tile([0, 1, 2], 3)
LABELS = np.array([0, 0, 1, 1, 1, 1, 0, 1, 1])


def plain(method: Method, iterations: int = 1, **options: object) -> Crowd:
    return posterior(
        TASKS,
        WORKERS,
        LABELS,
        n_classes=2,
        method=method,
        smoothing=0.0,
        iterations=iterations,
        **options,  # type: ignore[arg-type]
    )


def test_one_round_of_dawid_skene_is_what_it_is_by_hand() -> None:
    # Vote shares (2/3, 1/3), (0, 1), (1/3, 2/3) give the prior (1/3, 2/3). A says 0 of both items that may be 0, and of half
    # of what is 1; B is right about 2/3 of class 0 and 5/6 of class 1; C always says 1. So the first item weighs
    # 1/3 * 1 * 2/3 * 1 = 4/18 for 0 and 2/3 * 1/2 * 1/6 * 1 = 1/18 for 1, the third 2/18 and 5/18; A never says 1 of a 0.
    found = plain("dawid_skene")
    assert found.proba == pytest.approx(np.array([[4 / 5, 1 / 5], [0, 1], [2 / 7, 5 / 7]]), abs=1e-6)


def test_one_round_of_one_coin_is_what_it_is_by_hand() -> None:
    # Skills 2/3, 7/9 and 2/3, both classes equally likely: the first item weighs 2/3 * 7/9 * 1/3 for 0 and
    # 1/3 * 2/9 * 2/3 for 1, which is 14 to 4; the second 1 * 2 * 1 to 2 * 7 * 2; the third 2 * 2 * 1 to 1 * 7 * 2.
    found = plain("one_coin")
    assert found.proba == pytest.approx(
        np.array([[7 / 9, 2 / 9], [1 / 15, 14 / 15], [2 / 9, 7 / 9]]), abs=1e-6
    )


def em(tasks: npt.NDArray[np.int64], workers: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int, smoothing: float, steps: int) -> npt.NDArray[np.float64]:  # fmt: skip
    """Dawid-Skene once more, in loops, after the formulas."""
    n, w = tasks.max() + 1, workers.max() + 1
    truth = np.zeros((n, classes))
    np.add.at(truth, (tasks, labels), 1.0)
    truth /= truth.sum(axis=1, keepdims=True)
    for _ in range(steps):
        prior = truth.mean(axis=0)
        errors = np.zeros((w, classes, classes)) + np.eye(classes) * smoothing
        for task, worker, label in zip(tasks, workers, labels, strict=True):
            errors[worker, label] += truth[task]
        errors = np.clip(errors, 1e-10, None)
        errors /= errors.sum(axis=1, keepdims=True)
        log = np.tile(np.log(np.clip(prior, 1e-10, None)), (n, 1))
        for task, worker, label in zip(tasks, workers, labels, strict=True):
            log[task] += np.log(errors[worker, label])
        truth = np.exp(log - log.max(axis=1, keepdims=True))
        truth /= truth.sum(axis=1, keepdims=True)
    return truth


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("steps", [1, 5])
def test_it_is_the_textbook_s_algorithm_with_right_answers_added(smoothing: float, steps: int) -> None:
    tasks, workers, labels, _ = crowd(seed=1, items=40, skills=(0.9, 0.8, 0.7, 0.55), classes=3)
    found = posterior(
        tasks, workers, labels, n_classes=3, method="dawid_skene", smoothing=smoothing, iterations=steps
    )
    assert len(found.bounds) == steps, "it must not have converged before"
    assert found.proba == pytest.approx(em(tasks, workers, labels, 3, smoothing, steps), abs=1e-6)


def crowd(
    *, seed: int, items: int, skills: tuple[float, ...], classes: int = 2
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Votes of everybody on everything, and the truth; wrong answers are any other class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, items)
    tasks = np.repeat(np.arange(items), len(skills))
    workers = np.tile(np.arange(len(skills)), items)
    right = rng.random(len(tasks)) < np.array(skills)[workers]
    wrong = (truth[tasks] + rng.integers(1, classes, len(tasks))) % classes
    return tasks, workers, np.where(right, truth[tasks], wrong), truth


@pytest.mark.parametrize("method", METHODS)
def test_one_good_worker_among_bad_ones_is_found_out(method: Method) -> None:
    tasks, workers, labels, truth = crowd(seed=3, items=300, skills=(0.95, 0.6, 0.6, 0.55))
    found = posterior(tasks, workers, labels, n_classes=2, method=method)
    votes = np.bincount(tasks, weights=labels) / 4
    majority = np.mean(np.where(votes == 0.5, 0, votes > 0.5) == truth)
    assert np.mean(found.proba.argmax(axis=1) == truth) > majority + 0.03
    assert found.accuracy().argmax() == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("people", [3, 12])
def test_the_bound_on_the_evidence_never_falls(method: Method, smoothing: float, people: int) -> None:
    skills = tuple(np.linspace(0.9, 0.5, people).tolist())
    tasks, workers, labels, _ = crowd(seed=4, items=40, skills=skills, classes=4)
    found = posterior(tasks, workers, labels, n_classes=4, method=method, smoothing=smoothing, iterations=20)
    assert len(found.bounds) > 2
    assert np.all(np.diff(found.bounds) > -1e-9)


def test_one_coin_does_not_run_away_to_one_class() -> None:
    found = posterior(TASKS, WORKERS, LABELS, n_classes=2, method="one_coin")
    assert found.proba.argmax(axis=1).tolist() == [0, 1, 1]


votes = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=24, unique_by=lambda v: v[:2])  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=8, deadline=None)
@given(given_votes=votes, seed=st.integers(0, 99))
def test_names_and_order_of_items_people_and_classes_do_not_matter(
    method: Method, given_votes: list[tuple[int, int, int]], seed: int
) -> None:
    tasks, workers, labels = (np.array(column) for column in zip(*given_votes, strict=True))
    rng = np.random.default_rng(seed)
    items, people, classes = rng.permutation(6), rng.permutation(4), rng.permutation(3)
    order = rng.permutation(len(tasks))
    found = posterior(tasks, workers, labels, n_classes=3, method=method, iterations=5)
    again = posterior(
        items[tasks][order],
        people[workers][order],
        classes[labels][order],
        n_classes=3,
        method=method,
        iterations=5,
    )
    place = np.searchsorted(again.tasks, items[found.tasks])
    assert again.proba[place][:, classes] == pytest.approx(found.proba, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=8, deadline=None)
@given(given_votes=votes)
def test_whatever_the_votes_there_are_probabilities(
    method: Method, given_votes: list[tuple[int, int, int]]
) -> None:
    tasks, workers, labels = (np.array(column) for column in zip(*given_votes, strict=True))
    found = posterior(tasks, workers, labels, n_classes=3, method=method, iterations=10)
    for array in (found.proba, found.confusion, found.prior):
        assert np.isfinite(array).all()
    assert found.proba.sum(axis=1) == pytest.approx(1.0)
    assert found.tasks.tolist() == sorted(set(tasks.tolist()))


@pytest.mark.parametrize("method", METHODS)
def test_with_one_worker_the_votes_are_the_answer(method: Method) -> None:
    labels = np.array([0, 2, 1])
    found = posterior(np.arange(3), np.zeros(3, dtype=np.int64), labels, n_classes=3, method=method)
    assert found.proba.tolist() == np.eye(3)[labels].tolist()


@pytest.mark.parametrize("method", METHODS)
def test_people_who_never_share_an_item_are_each_taken_at_their_word(method: Method) -> None:
    labels = np.array([0, 1, 0, 1])
    found = posterior(np.arange(4), np.array([0, 0, 1, 1]), labels, n_classes=2, method=method)
    assert found.proba.argmax(axis=1).tolist() == labels.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_one_class_seen_is_the_class(method: Method) -> None:
    found = posterior(np.array([0, 0]), np.array([0, 1]), np.array([1, 1]), n_classes=3, method=method)
    assert found.proba.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("method", METHODS)
def test_no_votes_are_no_items(method: Method) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    found = posterior(nothing, nothing, nothing, n_classes=2, method=method)
    assert (found.proba.shape, found.confusion.shape) == ((0, 2), (0, 2, 2))


@pytest.mark.parametrize("method", METHODS)
def test_known_truths_stay_and_tell_who_is_right(method: Method) -> None:
    # Two against one everywhere: only the truth says that it is the one who knows.
    items = 12
    tasks, workers = np.repeat(np.arange(items), 3), np.tile([0, 1, 2], items)
    truth = np.arange(items) % 2
    labels = np.stack([truth, 1 - truth, 1 - truth], axis=1).ravel()
    known = {task: int(truth[task]) for task in range(8)}
    found = posterior(tasks, workers, labels, n_classes=2, method=method, truth=known)
    assert found.proba.argmax(axis=1).tolist() == truth.tolist()
    without = posterior(tasks, workers, labels, n_classes=2, method=method)
    assert without.proba.argmax(axis=1).tolist() == (1 - truth).tolist()


def test_few_answers_make_nobody_infallible() -> None:
    tasks, workers, labels, _ = crowd(seed=5, items=3, skills=(1.0, 1.0, 1.0))
    assert posterior(tasks, workers, labels, n_classes=2, method="one_coin").accuracy().max() < 0.9


def test_votes_that_are_none_are_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(VotesError):
        posterior(one, one, np.array([2]), n_classes=2, method="dawid_skene")
    with pytest.raises(VotesError):
        posterior(one, one, np.zeros(2, dtype=np.int64), n_classes=2, method="dawid_skene")
