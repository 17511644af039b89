"""Projects: settings, archive, delete, and the list with progress."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import cache
from django.core.exceptions import ValidationError

from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.labeling.models import Annotation, QueueEntry
from annotator.projects import access, selectors, services
from annotator.projects.models import Project, Role
from annotator.projects.ports import Progress
from tests.factories import choice, join, make_items, make_project, make_user

pytestmark = pytest.mark.django_db


def test_settings_change_alone():
    project = make_project()
    services.update_project(project=project, name="Beasts", lease_seconds=60, show_suggestions=False)
    project.refresh_from_db()
    assert (project.name, project.lease_seconds, project.show_suggestions) == ("Beasts", 60, False)


def test_a_new_overlap_opens_the_queue_at_once_and_never_twice():
    project = make_project()
    item = make_items(project, 1)[0]
    QueueEntry.objects.create(project=project, item=item, position=0, free=1)
    old = Project.objects.get(pk=project.pk)
    services.update_project(project=project, overlap=3)
    # A second request that still holds the old value must not add the difference again.
    services.update_project(project=old, overlap=3)
    assert QueueEntry.objects.get().free == 3
    assert Project.objects.get(pk=project.pk).overlap == 3


@pytest.mark.parametrize("changes", [{"overlap": 0}, {"overlap": 21}, {"lease_seconds": 1}, {"name": ""}])
def test_settings_out_of_range_change_nothing(changes):
    project = make_project()
    with pytest.raises(ValidationError):
        services.update_project(project=project, **changes)
    stored = Project.objects.get(pk=project.pk)
    assert (stored.overlap, stored.lease_seconds, stored.name) == (1, 600, "Pets")


def test_only_settings_can_be_set():
    with pytest.raises(Invalid):
        services.update_project(project=make_project(), next_row=0)


def test_an_archived_project_can_be_managed_but_not_labelled():
    project = make_project()
    person = join(project)
    services.archive_project(project=project)
    with pytest.raises(Conflict, match="archived"):
        access.can_annotate(person, project.pk)
    assert not access.can_view(person, project.pk)[1].annotate
    assert access.can_manage(project.created_by, project.pk)[1].archived
    services.unarchive_project(project=project)
    assert access.can_annotate(person, project.pk)[1].annotate


def test_a_deleted_project_is_there_for_nobody():
    project = make_project()
    services.delete_project(project=project)
    for user in (project.created_by, make_user(is_superuser=True)):
        with pytest.raises(NotFound):
            access.can_view(user, project.pk)
    assert selectors.project_cards(project.created_by) == []
    assert Project.objects.filter(pk=project.pk).exists()


def test_cards_show_ones_own_projects_with_role_and_progress():
    project, _ = make_project(), make_project()
    person = join(project, Role.VIEWER)
    items = make_items(project, 4)
    make_items(project, 3, split="test")
    for annotator in (join(project), join(project)):
        Annotation.objects.create(
            id=uuid.uuid4(), project=project, item=items[0], annotator=annotator,
            schema=project.schema, regions=choice("cat"),
        )  # fmt: skip
    (card,) = selectors.project_cards(person)
    assert (card.project, card.role, card.progress) == (project, Role.VIEWER, Progress(1, 4))
    assert card.progress.percent == 25


def test_progress_is_counted_once_for_a_while(django_assert_num_queries):
    project = make_project()
    person = join(project)
    assert selectors.project_cards(person)[0].progress == Progress(0, 0)
    make_items(project, 1)
    with django_assert_num_queries(2):
        assert selectors.project_cards(person)[0].progress == Progress(0, 0)
    cache.delete(f"progress.{project.pk}")
    assert selectors.project_cards(person)[0].progress == Progress(0, 1)


def test_the_list_costs_the_same_for_many_projects(django_assert_num_queries):
    person = make_user()
    for _ in range(5):
        join(make_project(), user=person)
    with django_assert_num_queries(3):
        assert len(selectors.project_cards(person)) == 5


def test_a_project_is_done_only_when_all_is_done():
    assert [Progress(n, 1000).percent for n in (0, 999, 1000)] == [0, 99, 100]
    assert Progress(0, 0).percent == 0
