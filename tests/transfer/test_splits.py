"""Train, validation and test: whole groups, alike in each class, the same each time, no content in two of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.common.errors import Invalid
from annotator.transfer.selection import PARTS, Splits
from annotator.transfer.splits import TEST, assign, fingerprint


def arrays(
    n: int, *, contents: Any = None, groups: Any = None, strata: Any = None, held: Any = None
) -> dict[str, Any]:
    return {
        "contents": np.array(
            [fingerprint(str(value)) for value in (contents if contents is not None else range(n))],
            dtype=np.uint64,
        ),
        "groups": np.array(
            [0 if value is None else fingerprint(f"g{value}") for value in (groups or [None] * n)],
            dtype=np.uint64,
        ),
        "strata": np.array(strata if strata is not None else [-1] * n, dtype=np.int64),
        "held_out": np.array(held if held is not None else [False] * n, dtype=bool),
    }


def counts(parts: Any) -> list[int]:
    return np.bincount(parts, minlength=3).tolist()


def test_shares_are_kept_to_the_item() -> None:
    assert counts(assign(Splits(), **arrays(1000))) == [800, 100, 100]


def test_every_class_has_the_same_shares() -> None:
    strata = [n % 4 if n % 4 < 3 else -1 for n in range(1000)]
    parts = assign(Splits(train=0.6, validation=0.2, test=0.2), **arrays(1000, strata=strata))
    for stratum in (-1, 0, 1, 2):
        assert counts(parts[np.array(strata) == stratum]) == [150, 50, 50]


def test_rare_classes_are_not_stratified_when_it_is_turned_off() -> None:
    parts = assign(Splits(stratified=False), **arrays(1000, strata=[n % 7 for n in range(1000)]))
    assert counts(parts) == [800, 100, 100]


def test_the_seed_decides_and_the_order_of_the_items_does_not() -> None:
    data = arrays(
        300, groups=[n // 3 if n < 90 else None for n in range(300)], strata=[n % 2 for n in range(300)]
    )
    first = assign(Splits(seed=1), **data)
    assert (first == assign(Splits(seed=1), **data)).all()
    assert (first != assign(Splits(seed=2), **data)).any()
    order = np.random.default_rng(0).permutation(300)
    assert (
        assign(Splits(seed=1), **{name: values[order] for name, values in data.items()}) == first[order]
    ).all()


def test_held_out_items_count_for_the_share_of_test() -> None:
    held = [n < 50 for n in range(1000)]
    parts = assign(Splits(), **arrays(1000, held=held))
    assert (parts[:50] == TEST).all()
    assert counts(parts) == [800, 100, 100]


def test_more_held_out_items_than_wanted_all_stay_in_test() -> None:
    parts = assign(Splits(), **arrays(100, held=[n < 40 for n in range(100)]))
    assert counts(parts)[TEST] == 40
    assert counts(parts)[0] > 5 * counts(parts)[1] > 0


def test_no_items_are_no_trouble() -> None:
    assert len(assign(Splits(), **arrays(0))) == 0


@given(
    items=st.lists(
        st.tuples(st.integers(0, 8), st.none() | st.integers(0, 5), st.integers(-1, 2), st.booleans()),
        max_size=40,
    ),
    seed=st.integers(0, 2**62),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 0.0, 1.0)]),
)
def test_nothing_leaks(items: list[Any], seed: int, shares: tuple[float, float, float]) -> None:
    contents, groups, strata, held = [list(column) for column in zip(*items, strict=True)] or [[], [], [], []]
    data = arrays(len(items), contents=contents, groups=groups, strata=strata, held=held)
    splits = Splits(**dict(zip(PARTS, shares, strict=True)), seed=seed)
    parts = assign(splits, **data)
    assert ((parts >= 0) & (parts < 3)).all()
    for values in (contents, groups):
        for value in {each for each in values if each is not None}:
            assert len({int(part) for part, other in zip(parts, values, strict=True) if other == value}) == 1
    assert (parts[np.array(held, dtype=bool)] == TEST).all()
    for part, share in enumerate(shares):
        if share == 0.0 and part != TEST:
            assert part not in parts


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": 0.9},
        {"train": -0.1, "validation": 1.0, "test": 0.1},
        {"train": "most"},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": True},
    ],
)
def test_shares_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Splits.from_json(wrong)
