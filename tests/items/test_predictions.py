from __future__ import annotations

import pytest

from annotator.items.models import ImportedPrediction
from annotator.items.services import add_predictions
from annotator.projects.models import Project
from tests.factories import make_items, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def stored() -> dict[tuple[int, str], dict[str, float]]:
    return {(each.item_id, each.source): each.classes for each in ImportedPrediction.objects.all()}


def test_a_later_prediction_of_the_same_model_replaces_the_earlier(project: Project) -> None:
    [item] = make_items(project, 1)
    add_predictions(project_id=project.pk, source="ours", rows=[(item.pk, {"cat": 0.9})])
    rows = [(item.pk, {"cat": 0.4}), (item.pk, {"dog": 0.7, "cat": 0.3})]
    assert add_predictions(project_id=project.pk, source="ours", rows=rows) == 1
    assert add_predictions(project_id=project.pk, source="theirs", rows=[(item.pk, {"cat": 1.0})]) == 1
    assert stored() == {(item.pk, "ours"): {"dog": 0.7, "cat": 0.3}, (item.pk, "theirs"): {"cat": 1.0}}


def test_items_of_another_project_and_unknown_ones_are_left_out(project: Project) -> None:
    [foreign] = make_items(make_project(), 1)
    rows = [(foreign.pk, {"cat": 1.0}), (2**40, {"cat": 1.0})]
    assert add_predictions(project_id=project.pk, source="ours", rows=rows) == 0
    assert add_predictions(project_id=project.pk, source="ours", rows=[]) == 0
    assert stored() == {}
