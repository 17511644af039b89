"""Krippendorff's alpha: published values, values by hand, intervals that shrink."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from annotator.quality import agreement
from annotator.quality.agreement import krippendorff, krippendorff_multi

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units, gaps.
OBSERVERS = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def published() -> np.ndarray:
    table = [line.split() for line in OBSERVERS.strip().splitlines()]
    counts = np.zeros((12, 5), dtype=np.int64)
    for line in table:
        for unit, value in enumerate(line):
            if value != ".":
                counts[unit, int(value) - 1] += 1
    return counts


def test_the_published_example_comes_out() -> None:
    found = krippendorff(published())
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.n == 11, "a unit with one value pairs with nothing"


def test_two_items_by_hand() -> None:
    # (2, 0) and (1, 1): 2 of 4 ordered pairs within items disagree, 2 * 3 * 1 of 12 over all: 1 - (2/4) / (6/12) = 0.
    assert krippendorff(np.array([[2, 0], [1, 1]])).value == pytest.approx(0.0)


def test_full_agreement_is_one_and_one_class_says_nothing() -> None:
    assert krippendorff(np.array([[2, 0], [0, 2]])).value == pytest.approx(1.0)
    assert krippendorff(np.array([[2, 0], [3, 0]])).value is None
    assert krippendorff(np.array([[1, 0], [0, 1]])).n == 0
    assert krippendorff(np.zeros((0, 2), dtype=np.int64)).value is None


def test_names_of_classes_and_order_of_items_do_not_matter() -> None:
    counts = published()
    rng = np.random.default_rng(0)
    turned = counts[rng.permutation(12)][:, rng.permutation(5)]
    assert krippendorff(turned).value == pytest.approx(krippendorff(counts).value)


def votes(items: int, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, items)
    counts = np.zeros((items, 3), dtype=np.int64)
    for _ in range(3):
        said = np.where(rng.random(items) < noise, rng.integers(0, 3, items), truth)
        counts[np.arange(items), said] += 1
    return counts


def test_the_interval_holds_the_value_and_shrinks_with_more_items() -> None:
    few = krippendorff(votes(40, 0.4, 1), rng=np.random.default_rng(0))
    many = krippendorff(votes(4_000, 0.4, 1), rng=np.random.default_rng(0))
    for found in (few, many):
        assert found.low is not None
        assert found.high is not None
        assert found.value is not None
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 4  # type: ignore[operator]


def test_the_interval_covers_what_it_estimates() -> None:
    target = krippendorff(votes(200_000, 0.4, 99)).value
    assert target is not None
    covered = 0
    for seed in range(60):
        found = krippendorff(votes(80, 0.4, seed), rng=np.random.default_rng(seed), resamples=400)
        covered += found.low <= target <= found.high  # type: ignore[operator]
    assert covered >= 50


def test_chance_is_zero() -> None:
    assert krippendorff(votes(20_000, 1.0, 2)).value == pytest.approx(0.0, abs=0.02)


def test_of_several_classes_each_is_judged_and_the_mean_taken() -> None:
    chosen, total = np.array([[2, 0], [0, 1], [0, 2]]), np.array([2, 2, 2])
    first = krippendorff(np.array([[2, 0], [0, 2], [0, 2]])).value
    second = krippendorff(np.array([[0, 2], [1, 1], [2, 0]])).value
    assert first is not None
    assert second is not None
    found = krippendorff_multi(chosen, total, rng=np.random.default_rng(0))
    assert found.value == pytest.approx((first + second) / 2)
    assert krippendorff_multi(chosen, np.array([1, 1, 1])).value is None


@pytest.mark.parametrize("multi", [False, True])
def test_the_bootstrap_takes_no_more_memory_where_kinds_are_many(
    monkeypatch: pytest.MonkeyPatch, *, multi: bool
) -> None:
    counts = np.column_stack([np.arange(2, 1_002), np.arange(1_002, 2, -1)])
    total = counts.sum(axis=1) + np.arange(1_000)

    def found() -> agreement.Estimate:
        rng = np.random.default_rng(5)
        if multi:
            return krippendorff_multi(counts, total, rng=rng, resamples=1_000)
        return krippendorff(counts, rng=rng, resamples=1_000)

    at_once = found()
    monkeypatch.setattr(agreement, "DRAWN", 50_000, raising=False)
    tracemalloc.start()
    try:
        assert found() == at_once, "the draws are the same however many are made at once"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000, "a thousand draws of a thousand kinds are sixteen megabytes"
