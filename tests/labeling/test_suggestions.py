"""What the model would answer reaches people only where the project shows it."""

from __future__ import annotations

import uuid

import pytest

from annotator.labeling import queue, services
from annotator.labeling.models import Annotation
from annotator.projects.services import update_project
from tests.factories import choice, join, make_items, make_project

pytestmark = pytest.mark.django_db

SUGGESTION = {"model": 3, "classes": {"cat": 0.9, "dog": 0.1}}


@pytest.mark.parametrize("shown", [True, False])
def test_suggestions_that_are_off_are_neither_given_nor_noted_as_shown(shown: bool) -> None:
    project = make_project()
    update_project(project=project, show_suggestions=shown)
    user, [item] = join(project), make_items(project, 1)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}, SUGGESTION)])
    [lease] = queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    assert lease.suggestion == (SUGGESTION if shown else None)
    services.submit_annotation(
        project_id=project.pk,
        user_id=user.pk,
        annotation_id=uuid.uuid4(),
        item_id=item.pk,
        schema_version=1,
        regions=choice("cat"),
    )
    assert Annotation.objects.get().suggestion == (SUGGESTION if shown else None)


@pytest.mark.parametrize("measured", [float("nan"), float("inf")])
def test_a_time_that_is_no_number_is_left_out(measured: float) -> None:
    project = make_project()
    user, [item] = join(project), make_items(project, 1)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {})])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    services.submit_annotation(
        project_id=project.pk,
        user_id=user.pk,
        annotation_id=uuid.uuid4(),
        item_id=item.pk,
        schema_version=1,
        regions=choice("cat"),
        seconds=measured,
    )
    assert Annotation.objects.get().seconds is None
