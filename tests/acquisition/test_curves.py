import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from acquisition.curves import (
    CurveError,
    area_under_curve,
    bootstrap_interval,
    labels_saved,
    labels_to,
    mean_interval,
    paired_difference,
    rising,
    saved_at_common_level,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_area_is_the_mean_height():
    assert area_under_curve([10, 20, 40], [0.5, 0.7, 0.9]) == pytest.approx((10 * 0.6 + 20 * 0.8) / 30)
    assert area_under_curve([10, 20], [0.4, 0.4]) == pytest.approx(0.4)
    assert area_under_curve([10], [0.4]) == 0.4


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0.01, 1000), st.floats(0, 1000))
def test_area_does_not_depend_on_where_and_how_the_labels_are_counted(accuracy, scale, offset):
    labels = np.arange(1.0, len(accuracy) + 1)
    moved = area_under_curve(labels * scale + offset, accuracy)
    assert moved == pytest.approx(area_under_curve(labels, accuracy), abs=1e-6)
    assert min(accuracy) - 1e-9 <= moved <= max(accuracy) + 1e-9


def test_labels_to_a_level_are_interpolated():
    assert labels_to([10, 20, 40], [0.5, 0.7, 0.9], full=1.0, fraction=0.8) == pytest.approx(30)
    assert labels_to([10, 20], [0.5, 0.7], full=0.5, fraction=0.95) == 10
    assert labels_to([10, 20], [0.5, 0.7], full=1.0, fraction=0.95) is None
    assert labels_to([10, 20, 30], [0.1, 0.9, 0.2], full=0.9, fraction=1.0) == pytest.approx(20)


@pytest.mark.parametrize(
    ("labels", "accuracy"), [([], []), ([1, 2], [0.1]), ([2, 1], [0, 1]), ([1, 1], [0, 1])]
)
def test_what_is_no_curve_is_refused(labels, accuracy):
    with pytest.raises(CurveError):
        area_under_curve(labels, accuracy)
    with pytest.raises(CurveError):
        labels_to(labels, accuracy, full=1, fraction=0.9)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(200):
        interval = bootstrap_interval(rng(seed).normal(size=40), rng=rng(seed), resamples=500)
        hits += interval.low <= 0 <= interval.high
    assert 175 <= hits <= 199


def test_pairing_removes_what_the_seeds_have_in_common():
    common = rng(0).normal(size=8) * 10
    ours, theirs = common + 0.5 + rng(1).normal(size=8) * 0.1, common
    paired = paired_difference(ours, theirs, rng=rng(2))
    assert paired.estimate == pytest.approx((ours - theirs).mean())
    assert 0.3 < paired.low < paired.estimate < paired.high < 0.7
    alone = bootstrap_interval(ours, rng=rng(2))
    assert alone.high - alone.low > 10 * (paired.high - paired.low)


def test_one_value_has_an_interval_of_no_width_and_none_has_no_interval():
    interval = bootstrap_interval([0.3], rng=rng())
    assert (interval.low, interval.estimate, interval.high) == (0.3, 0.3, 0.3)
    with pytest.raises(CurveError):
        bootstrap_interval([], rng=rng())
    with pytest.raises(CurveError):
        paired_difference([1, 2], [1], rng=rng())


def test_students_interval_is_wider_than_the_bootstraps_for_few_seeds():
    values = [0.80, 0.82, 0.81, 0.85, 0.79]
    student = mean_interval(values)
    # t with four degrees of freedom is 2.776.
    half = 2.776 * np.std(values, ddof=1) / np.sqrt(5)
    assert student.high - student.estimate == pytest.approx(half, rel=1e-3)
    narrow = bootstrap_interval(values, rng=rng())
    assert student.high - student.low > narrow.high - narrow.low
    assert mean_interval([0.5]) == mean_interval([0.5, 0.5, 0.5])
    with pytest.raises(CurveError):
        mean_interval([])


def test_a_rising_curve_pools_what_falls():
    assert rising(np.array([0.1, 0.3, 0.2, 0.4])).tolist() == pytest.approx([0.1, 0.25, 0.25, 0.4])
    assert rising(np.array([3.0, 2.0, 1.0])).tolist() == pytest.approx([2, 2, 2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_rising_curves_are_what_isotonic_regression_gives(values):
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    assert rising(np.array(values)) == pytest.approx(expected, abs=1e-9)


def test_labels_saved_are_counted_at_the_level_both_reach():
    labels = [10, 20, 30, 40]
    random = np.array([[0.5, 0.6, 0.7, 0.8]])
    ours = np.array([[0.6, 0.8, 0.85, 0.9]])
    assert labels_saved(labels, ours, random, rng=rng()).estimate == pytest.approx(20)
    assert labels_saved(labels, random, ours, rng=rng()).estimate == pytest.approx(-20)
    assert labels_saved(labels, random, random, rng=rng()).estimate == 0


def test_seeds_that_differ_give_an_interval_that_covers_both_signs():
    labels = np.arange(10, 60, 10)
    base = np.linspace(0.5, 0.7, 5)
    noise = rng(1).normal(size=(2, 5, 1)) * 0.05
    found = labels_saved(labels, base + noise[0], base + noise[1], rng=rng(2))
    assert found.low < 0 < found.high
    clear = labels_saved(labels, base + 0.1 + 0.01 * noise[0], base + 0.01 * noise[1], rng=rng(2))
    assert clear.low > 10


def test_curves_of_other_lengths_are_compared_where_both_have_been():
    saved = saved_at_common_level(
        np.array([10, 20, 40, 80.0]),
        np.array([0.5, 0.7, 0.8, 0.9]),
        np.array([10, 20.0]),
        np.array([0.5, 0.6]),
    )
    assert saved == pytest.approx(5)


def test_labels_saved_refuse_curves_that_do_not_fit():
    with pytest.raises(CurveError):
        labels_saved([1, 2], np.ones((2, 3)), np.ones((2, 2)), rng=rng())
