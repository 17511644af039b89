import numpy as np
from scipy import stats

from acquisition.hashing import draw_seed, item_keys, uniforms


def test_keys_belong_to_id_and_seed_alone():
    ids = np.array([5, 0, 2**62])
    assert item_keys(1, ids).tolist() == [item_keys(1, ids[i : i + 1])[0] for i in range(3)]
    assert item_keys(1, ids).tolist() != item_keys(2, ids).tolist()
    assert ids.tolist() == [5, 0, 2**62]


def test_any_integer_is_a_seed():
    for seed in (0, -1, 2**64, 2**80 + 3):
        assert len(np.unique(item_keys(seed, np.arange(100)))) == 100


def test_uniforms_are_uniform_and_never_0_or_1():
    values = uniforms(item_keys(3, np.arange(100_000)))
    assert stats.kstest(values, "uniform").pvalue > 1e-4
    ends = uniforms(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < ends[0] < ends[1] < 1


def test_neighbouring_ids_and_seeds_are_unrelated():
    values = uniforms(item_keys(3, np.arange(100_000)))
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.015
    by_seed = np.array([uniforms(item_keys(seed, np.array([7])))[0] for seed in range(2000)])
    assert stats.kstest(by_seed, "uniform").pvalue > 1e-4


def test_seeds_are_drawn_from_the_generator():
    assert draw_seed(np.random.default_rng(4)) == draw_seed(np.random.default_rng(4))
    assert 0 <= draw_seed(np.random.default_rng(4)) < 2**64
