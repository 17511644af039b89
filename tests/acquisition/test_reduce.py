import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acquisition.errors import ParameterError, UtilityError
from acquisition.reduce import REDUCTION_PARAMS, REDUCTIONS, reduce_axis, reduce_parts

SCORES = np.array([[0.1, 0.9, 0.5, 0.3], [1.0, 0.0, 0.0, 0.0]])


def test_reductions_have_their_values():
    np.testing.assert_allclose(reduce_axis(SCORES, "mean"), [0.45, 0.25])
    np.testing.assert_allclose(reduce_axis(SCORES, "max"), [0.9, 1.0])
    np.testing.assert_allclose(reduce_axis(SCORES, "sum"), [1.8, 1.0])
    np.testing.assert_allclose(reduce_axis(SCORES, "top_k_mean", k=2), [0.7, 0.5])
    np.testing.assert_allclose(reduce_axis(SCORES, "top_k_mean", k=99), reduce_axis(SCORES, "mean"))


@pytest.mark.parametrize("how", REDUCTIONS)
def test_any_axis_and_any_library_will_do(how):
    expected = reduce_axis(SCORES, how, k=2)
    np.testing.assert_allclose(reduce_axis(SCORES.T, how, k=2, axis=0), expected)
    np.testing.assert_allclose(reduce_axis(torch.tensor(SCORES), how, k=2).numpy(), expected)


@pytest.mark.parametrize("how", REDUCTIONS)
@given(data=st.data())
def test_parts_of_an_item_reduce_like_a_row(how, data):
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    item = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(item), max_size=len(item))))
    shuffled = np.random.default_rng(0).permutation(len(item))
    utility = reduce_parts(scores[shuffled], item[shuffled], len(sizes), how, k=2)
    for number, size in enumerate(sizes):
        if size == 0:
            assert np.isnan(utility[number])
        else:
            assert utility[number] == pytest.approx(reduce_axis(scores[item == number], how, k=2))


def test_an_item_without_parts_has_no_opinion_and_a_faulty_part_is_refused():
    utility = reduce_parts(np.array([0.5]), np.array([1]), 3, "max")
    assert np.isnan(utility).tolist() == [True, False, True]
    with pytest.raises(UtilityError, match="finite"):
        reduce_parts(np.array([np.nan]), np.array([0]), 1, "max")


def test_an_unknown_reduction_lists_the_known_ones():
    for call in (
        lambda: reduce_axis(SCORES, "median"),
        lambda: reduce_parts(SCORES[0], np.arange(4), 4, "median"),
    ):
        with pytest.raises(ParameterError, match="mean, max, top_k_mean, sum"):
            call()
    assert tuple(REDUCTION_PARAMS["reduction"]["enum"]) == REDUCTIONS
