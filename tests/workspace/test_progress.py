"""How far a project is, without counting a million items for every live event."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotator.items.models import Item
from annotator.projects.models import Project
from annotator.workspace.selectors import progress
from tests.factories import make_items, make_project

pytestmark = pytest.mark.django_db


def test_items_to_label_are_counted_and_the_number_is_kept() -> None:
    project = make_project()
    items = make_items(project, 5)
    make_items(project, 2, split=Item.Split.TEST)
    Item.objects.filter(pk=items[0].pk).update(archived_at=timezone.now())
    project.refresh_from_db()
    assert progress(project).items == 4
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert progress(project).items == 4
    assert not any("items_item" in query["sql"] for query in asked.captured_queries)


def test_what_is_imported_counts_at_once() -> None:
    project = make_project()
    make_items(project, 3)
    assert progress(Project.objects.get(pk=project.pk)).items == 3
    make_items(project, 4)
    assert progress(Project.objects.get(pk=project.pk)).items == 7
