"""Graph cut: worked examples, and what a sample of pool and labels changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acquisition import registry
from acquisition.pool import Labeled, Pool
from acquisition.strategies.graph_cut import graph_cut_bins, graph_cut_order

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])


def rng(seed=0):
    return np.random.default_rng(seed)


def choose(n, *, features, known=None, seed=0, **params):
    """Rows are their own ids; what is known has ids above them."""
    labeled = Labeled(
        ids=1_000_000 + np.arange(0 if known is None else len(known)), n_classes=2, features=known
    )
    pool = Pool(np.arange(len(features)), features=features)
    return registry.get("graph_cut").select(pool, labeled, n, rng(seed), **params)


def codes(ranking):
    return {note.code for note in ranking.notes}


# Graph cut by hand: similarities [[1, .9, .1], [.9, 1, .2], [.1, .2, 1]] add up to 2, 2.1 and 1.3.
# Row 1 is first; then row 0 is left with 2 - 1.8 = 0.2 and row 2 with 1.3 - 0.4 = 0.9.

SIMILAR = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])


@LIBRARIES
def test_graph_cut_orders_by_gain(to):
    assert graph_cut_order(to(np.linalg.cholesky(SIMILAR)), 3).tolist() == [1, 2, 0]


def test_graph_cut_keeps_away_from_labelled_rows():
    rows = np.linalg.cholesky(SIMILAR)
    # Beside row 1 as a labelled one: 2 - 1.8, 2.1 - 2, 1.3 - 0.4.
    assert graph_cut_order(rows, 1, known=rows[1:2]).tolist() == [2]


@given(st.integers(0, 10_000), st.floats(0.1, 3))
def test_products_give_the_order_of_the_matrix_of_similarities(seed, balance):
    rows = rng(seed).normal(size=(12, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similar = (1 + rows @ rows.T) / 2
    gain, order = balance * similar.sum(axis=1), []
    for _ in range(6):
        gain[order] = -np.inf
        order.append(int(gain.argmax()))
        gain = gain - 2 * similar[order[-1]]
    # Mapping cosines to 0..1 adds the same to the gains of all rows.
    np.testing.assert_array_equal(graph_cut_order(rows, 6, balance=balance), order)


@LIBRARIES
def test_bins_share_the_rows_and_dense_ones_come_first(to):
    dense, sparse = rng(0).normal(size=(80, 6)) + 6, rng(1).normal(size=(20, 6))
    rows = np.concatenate([dense, sparse])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    binned = graph_cut_bins(to(rows), 3)
    assert np.bincount(binned).tolist() == [34, 33, 33]
    assert (binned[:80] == 0).mean() > (binned[80:] == 0).mean()


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_unlike_size_are_all_in_the_draw(seed):
    centres = 10 * np.eye(5)
    group = np.repeat(np.arange(5), (200, 100, 60, 30, 15))
    features = centres[group] + rng(seed).normal(size=(len(group), 5))
    ranking = choose(50, features=features, seed=seed)
    assert set(group[ranking.order].tolist()) == set(range(5))
    # The first ten come from the ten bins, one each.
    assert sorted(reason["bin"] for reason in ranking.reasons(ranking.order[:10])) == list(range(1, 11))


def test_one_bin_is_the_order_of_the_cut():
    features = rng(0).normal(size=(40, 3))
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    ranking = choose(8, features=features, bins=1)
    np.testing.assert_array_equal(ranking.order, graph_cut_order(rows, 8))


def cone(seed, size):
    """Unit rows around one direction: on average their cosine is about a half."""
    rows = rng(seed).normal(size=(size, 20)) + 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("bins", [1, 10])
def test_a_sampled_pool_is_weighed_against_labels_as_the_whole_is(bins):
    """With 600 labels beside 5,000 items, of which 500 are looked at, typical items are chosen as among all."""
    features, known = cone(0, 5_000), cone(1, 600)
    typical = (features @ features.mean(axis=0)).mean()
    found = [choose(40, features=features, known=known, bins=bins, max_pool=cap) for cap in (500, 5_000)]
    first = [ranking.order[: 4 if bins > 1 else 40] for ranking in found]
    sampled, whole = ((features[order] @ features.mean(axis=0)).mean() for order in first)
    assert whole > typical
    assert sampled == pytest.approx(whole, abs=0.05)


def test_each_of_a_sample_of_labels_stands_for_several():
    features, known = cone(0, 3_000), cone(1, 1_200)
    away = -cone(2, 3_000)
    whole, sampled = (
        choose(20, features=np.concatenate([features, away]), known=known, bins=1, max_pool=cap)
        for cap in (6_000, 1_000)
    )
    assert "labelled-sampled" in codes(sampled)
    # The pool pulls nowhere, and labels push off.
    assert (whole.order >= 3_000).all()
    assert (sampled.order >= 3_000).all()
