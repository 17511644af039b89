"""Hard filters on what the model says, and near-duplicates."""

import numpy as np
import pytest

from acquisition.composition import Composition, Term
from acquisition.filters import confidence, distinct, keep_by_model, last_in_order, needs_of

PROBA = np.array([[0.9, 0.1, 0.0], [0.4, 0.35, 0.25], [0.2, 0.2, 0.6], [0.05, 0.15, 0.8]])


def options(**given):
    return Composition(terms=(Term(strategy="margin"),), options=given).options


def keep(proba=PROBA, *, outlier=2, outlier_seen=True, multi_label=False, **given):
    mask, notes = keep_by_model(
        proba, options(**given), multi_label=multi_label, outlier=outlier, outlier_seen=outlier_seen
    )
    return mask.tolist(), [note.code for note in notes]


def test_without_filters_everything_passes():
    assert keep() == ([True] * 4, [])
    assert needs_of(options()) == frozenset()


def test_confidence_is_kept_within_its_range():
    assert keep(min_confidence=0.5, max_confidence=0.85) == ([False, False, True, True], ["held-back"])
    assert needs_of(options(max_confidence=0.85)) == {"proba"}


def test_likely_outliers_are_held_back():
    assert keep(max_outlier=0.5) == ([True, True, False, False], ["held-back"])


def test_the_filter_of_outliers_is_off_while_nobody_has_seen_one():
    """An output that never had a positive example means nothing."""
    assert keep(max_outlier=0.5, outlier_seen=False) == ([True] * 4, ["filter-off"])
    assert keep(max_outlier=0.5, outlier=None) == ([True] * 4, ["filter-off"])


def test_confidence_of_many_labels_is_the_mean_of_their_best_guesses():
    proba = np.array([[0.9, 0.2], [0.5, 0.5]])
    assert confidence(proba, multi_label=True) == pytest.approx([0.85, 0.5])
    assert keep(proba, multi_label=True, outlier=None, min_confidence=0.6) == ([True, False], ["held-back"])


def test_held_back_rows_come_least_likely_outliers_first():
    ids, unlike = np.array([7, 3, 9, 4]), np.array([0.9, np.nan, 0.6, 0.9])
    order = last_in_order(ids, options(max_outlier=0.5), unlike, 1)
    assert (order[0], order[-1]) == (2, 1)
    by_hash = last_in_order(ids, options(max_outlier=0.5), None, 1)
    assert by_hash.tolist() == last_in_order(ids, options(), unlike, 1).tolist()
    # Equal ones as their ids say, whatever their places.
    turned_round = last_in_order(ids[::-1], options(max_outlier=0.5), unlike[::-1], 1)
    assert ids[order].tolist() == ids[::-1][turned_round].tolist()


def turned(degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_of_near_duplicates_the_best_ranked_stays():
    # Cosine of 10 degrees: 0.985; of 20: 0.940.
    rows = turned([0, 10, 20, 90, 100])
    assert distinct(rows, None, 0.97).tolist() == [True, False, True, True, False]
    assert distinct(rows[::-1], None, 0.97).tolist() == [True, False, True, False, True]
    assert distinct(rows, None, 1.0).tolist() == [True] * 5


def test_what_is_like_a_labelled_item_goes_whatever_its_rank():
    assert distinct(turned([0, 50, 90]), turned([88, 52]), 0.97).tolist() == [True, False, False]


def test_length_does_not_matter_and_zeros_are_like_nothing():
    rows = np.array([[1, 0], [5, 0], [0, 0], [0, 0]], dtype=np.float16)
    assert distinct(rows, None, 0.9).tolist() == [True, False, True, True]


def test_blocks_give_what_one_comparison_gives(monkeypatch):
    rng = np.random.default_rng(0)
    rows, known = rng.normal(size=(60, 3)), rng.normal(size=(20, 3))
    expected = distinct(rows, known, 0.9).tolist()
    monkeypatch.setattr("acquisition.filters._BLOCK_ENTRIES", 200)
    monkeypatch.setattr("acquisition.filters._BLOCK_ROWS", 7)
    assert distinct(rows, known, 0.9).tolist() == expected
    assert 5 < sum(expected) < 55
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    kept = unit[np.array(expected)]
    assert (kept @ kept.T - np.eye(len(kept))).max() <= 0.9
