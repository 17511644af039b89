import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays
from scipy import special

from acquisition import arrays

LIBRARIES = pytest.mark.parametrize("to", [np.asarray, torch.tensor], ids=["numpy", "torch"])


@LIBRARIES
@pytest.mark.parametrize("classes", [2, 3, 17, 64, 65, 150])
def test_two_largest_are_those_of_a_sort(to, classes):
    block = np.random.default_rng(0).random((classes, 40))
    block[1, :5] = block[0, :5] = 2.0
    first, second = arrays.two_largest(to(block))
    ordered = np.sort(block, axis=0)
    np.testing.assert_array_equal(arrays.to_numpy(first), ordered[-1])
    np.testing.assert_array_equal(arrays.to_numpy(second), ordered[-2])


@LIBRARIES
@given(data=st.data())
def test_top_k_are_the_largest_in_order(to, data):
    values = data.draw(numpy_arrays(np.float64, st.integers(1, 50), elements=st.floats(-9, 9)))
    k = data.draw(st.integers(0, 60))
    index = arrays.to_numpy(arrays.top_k(to(values), k))
    np.testing.assert_array_equal(values[index], np.sort(values)[::-1][:k])
    assert len(set(index.tolist())) == len(index)


@LIBRARIES
@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_smallest_values_of_each_row_are_found(to, k):
    matrix = np.random.default_rng(0).random((6, 8))
    found = np.sort(arrays.to_numpy(arrays.smallest_values(to(matrix), k)), axis=1)
    np.testing.assert_array_equal(found, np.sort(matrix, axis=1)[:, :k])


@LIBRARIES
def test_sums_by_label_count_each_row_once_by_its_weight(to):
    rows, label = np.random.default_rng(0).random((30, 4)), np.random.default_rng(1).integers(0, 3, 30)
    weights = np.random.default_rng(2).random(30)
    for heavy in (None, weights):
        found = arrays.sum_by_label(to(rows), to(label), 5, None if heavy is None else to(heavy))
        expected = np.zeros((5, 4))
        np.add.at(expected, label, rows if heavy is None else rows * heavy[:, None])
        np.testing.assert_allclose(arrays.to_numpy(found), expected, rtol=1e-12)


@pytest.mark.parametrize("block", [1, 64, 1 << 26])
def test_sums_by_products_are_those_by_addition(monkeypatch, block):
    """As on a GPU, where adding by index would give another sum each time."""
    rows, label = np.random.default_rng(0).random((30, 4)), np.random.default_rng(1).integers(0, 3, 30)
    weights = np.random.default_rng(2).random(30)
    monkeypatch.setattr(torch.Tensor, "index_add", None)
    monkeypatch.setattr(arrays, "on_cpu", lambda _: False)
    monkeypatch.setattr(arrays, "_BLOCK_ELEMENTS_GPU", block)
    for heavy in (None, weights):
        found = arrays.sum_by_label(
            torch.tensor(rows), torch.tensor(label), 5, None if heavy is None else torch.tensor(heavy)
        )
        expected = arrays.sum_by_label(rows, label, 5, heavy)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@LIBRARIES
def test_xlogx_is_zero_at_zero_and_one(to):
    np.testing.assert_allclose(
        arrays.to_numpy(arrays.xlogx(to(np.array([0, 1, 0.5])))), [0, 0, np.log(0.5) / 2]
    )


@LIBRARIES
def test_logsumexp_neither_overflows_nor_warns(to):
    values = np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [-2000.0, -np.inf]])
    np.testing.assert_allclose(
        arrays.to_numpy(arrays.logsumexp(to(values), axis=1)), special.logsumexp(values, axis=1)
    )
    np.testing.assert_allclose(arrays.to_numpy(arrays.logsumexp(to(values))), 1000 + np.log(2))
    assert float(arrays.logsumexp(to(np.empty(0)))) == -np.inf


@LIBRARIES
def test_rows_are_taken_by_numpy_positions(to):
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(
        arrays.to_numpy(arrays.take_rows(to(values), np.array([3, 0]))), values[[3, 0]]
    )


@LIBRARIES
def test_half_precision_is_widened_and_nothing_else(to):
    assert arrays.to_numpy(arrays.widen(to(np.ones(2, np.float16)))).dtype == np.float32
    assert arrays.to_numpy(arrays.widen(to(np.ones(2, np.float64)))).dtype == np.float64


def test_the_package_imports_neither_torch_nor_django():
    code = """
import sys
from acquisition import check, compose, registry
registry.available()
loaded = {name for name in ("torch", "django", "sklearn", "scipy") if name in sys.modules}
sys.exit(f"loaded {loaded}" if loaded else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
