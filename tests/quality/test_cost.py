"""Seconds of an item."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotator.items.models import Item
from annotator.labeling.models import Annotation
from annotator.learning.costs import kept_model, pool_cost
from annotator.learning.evidence_stopping import seconds_per_label
from annotator.quality.cost import CostModel, cost_model, fit_cost
from tests.factories import join, make_items, make_project
from tests.learning.world import answer
from tests.quality.people import vote


def times(n: int, *, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(3, 8, n))
    person = rng.integers(0, 4, n)
    pace = np.array([0.7, 1.0, 1.0, 1.4])[person]
    return size, person, pace * np.exp(1 + slope * np.log1p(size)) * rng.lognormal(0, 0.3, n)


def test_the_model_finds_how_time_grows_with_size() -> None:
    size, person, seconds = times(3_000, slope=0.5)
    model = fit_cost(size, person, seconds)
    assert model.slope == pytest.approx(0.5, abs=0.03)
    assert model.median(np.array([1_000.0]))[0] == pytest.approx(np.exp(1 + 0.5 * np.log(1_001)), rel=0.1)
    assert model.mean(size).mean() == pytest.approx(seconds.mean(), rel=0.1), "means are above medians"


def test_nobody_looking_and_somebody_away_do_not_count() -> None:
    size, person, seconds = times(1_000, slope=0.0)
    spoiled = np.concatenate([seconds, np.full(200, 0.01), np.full(200, 50_000.0), [np.nan]])
    model = fit_cost(np.resize(size, len(spoiled)), np.resize(person, len(spoiled)), spoiled)
    assert model.n == 1_000


def test_few_answers_make_all_items_equal_and_none_cost_a_second() -> None:
    few = fit_cost(np.array([10.0, 1e6, 50.0]), np.zeros(3, dtype=np.int64), np.array([2.0, 4.0, 8.0]))
    assert few.median(np.array([1.0, 1e9])).tolist() == pytest.approx([4.0, 4.0])
    nothing = np.zeros(0)
    none = fit_cost(nothing, nothing.astype(np.int64), nothing)
    assert none.median(np.array([1.0, 1e9])).tolist() == [1.0, 1.0]


def test_one_person_and_one_size_are_no_trouble() -> None:
    model = fit_cost(np.full(60, 100.0), np.zeros(60, dtype=np.int64), np.full(60, 3.0))
    assert model.median(np.array([100.0]))[0] == pytest.approx(3.0)


@pytest.mark.django_db
def test_a_pool_costs_what_its_answers_took_and_keeps_to_it() -> None:
    project = make_project()
    items = make_items(project, 6)
    rows, record = np.array([4, 5]), dict[str, Any]()
    assert pool_cost(project.pk, rows, cost_model(project.pk)).tolist() == [1.0, 1.0]
    person = join(project)
    for item in items[:3]:
        answer(project, person, item, "cat")
    Annotation.objects.update(seconds=5.0)
    assert pool_cost(project.pk, rows, kept_model(project.pk, record)).tolist() == pytest.approx([5.0, 5.0])
    Annotation.objects.update(seconds=50.0)
    assert pool_cost(project.pk, rows, kept_model(project.pk, record)).tolist() == pytest.approx([5.0, 5.0])


@pytest.mark.django_db
def test_long_texts_cost_more_where_answers_said_so() -> None:
    project = make_project()
    items = make_items(project, 3)
    for item, length in zip(items, (10, 1_000, 10), strict=True):
        Item.objects.filter(pk=item.pk).update(text="a" * length)
    costs = pool_cost(project.pk, np.arange(3), CostModel(0.0, 0.5, 0.1, 100))
    assert costs.tolist() == pytest.approx([11**0.5, 1_001**0.5, 11**0.5])


@pytest.mark.django_db
@pytest.mark.parametrize(("overlap", "share", "times"), [(1, 1.0, 1.0), (3, 1.0, 3.0), (3, 0.1, 1.2)])
def test_a_label_costs_as_many_answers_as_items_want_on_average(
    overlap: int, share: float, times: float
) -> None:
    project = make_project(overlap=overlap, overlap_share=share)
    for item in make_items(project, 5):
        vote(project, item, "cat")
    Annotation.objects.update(seconds=10.0)
    assert seconds_per_label(project) == pytest.approx(10 * times)
