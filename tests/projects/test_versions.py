"""Schema versions in the database: immutable, one after the other, and old answers stay readable."""

from __future__ import annotations

import uuid

import pytest

from annotator.common.errors import Conflict, Invalid
from annotator.labeling.models import Annotation
from annotator.projects import selectors, services
from annotator.projects.models import LabelClass, Project
from tests.factories import choice, join, make_items, make_project, make_user

pytestmark = pytest.mark.django_db


def version(project: Project, *operations, base: int | None = None):
    return services.create_version(
        project=project,
        base_version=project.schema.version if base is None else base,
        operations=operations,
        by=project.created_by,
    )


def answer(project: Project, *keys: str, count: int = 1) -> None:
    person = join(project)
    for item in make_items(project, count):
        Annotation.objects.create(
            id=uuid.uuid4(),
            project=project,
            item=item,
            annotator=person,
            schema=project.schema,
            regions=choice(*keys),
        )


def test_a_version_leaves_the_one_before_as_it_was():
    project = make_project()
    before = list(project.schema.classes.values())
    made = version(project, {"op": "rename", "key": "cat", "name": "Feline"})
    assert (made.version, made.created_by) == (2, project.created_by)
    assert list(project.schemas.get(version=1).classes.values()) == before
    assert [c.name for c in project.schema.active_classes()] == ["Feline", "Dog"]


def test_every_key_resolves_over_versions():
    project = make_project(classes=("cat", "dog", "cow"))
    version(project, {"op": "merge", "key": "cat", "into": "dog"})
    made = version(project, {"op": "add", "name": "Bird"}, {"op": "retire", "key": "cow"})
    assert made.resolve() == {"cat": "dog", "dog": "dog", "cow": None, "bird": "bird"}


def test_an_edit_of_an_old_version_is_refused_and_told_what_changed():
    project = make_project()
    version(project, {"op": "rename", "key": "cat", "name": "Feline"})
    with pytest.raises(Conflict) as error:
        version(project, {"op": "add", "name": "Bird"}, base=1)
    assert error.value.code == "stale_schema"
    assert error.value.extra["current_version"] == 2
    assert error.value.extra["changes"] == ["“Cat” is renamed to “Feline”."]
    assert project.schema.version == 2


def test_a_version_that_changes_nothing_is_not_made():
    project = make_project()
    with pytest.raises(Invalid) as error:
        version(project, {"op": "rename", "key": "cat", "name": "Cat"})
    assert error.value.code == "no_change"
    assert project.schemas.count() == 1


def test_operations_and_a_full_list_exclude_each_other():
    project = make_project()
    for edit in ({}, {"operations": [], "classes": []}):
        with pytest.raises(Invalid) as error:
            services.create_version(project=project, base_version=1, by=project.created_by, **edit)
        assert error.value.code == "bad_edit"


def test_a_hotkey_moves_from_one_class_to_another_in_one_edit():
    project = make_project()
    made = version(
        project,
        {"op": "hotkey", "key": "cat", "hotkey": "2"},
        {"op": "hotkey", "key": "dog", "hotkey": "1"},
    )
    assert dict(made.classes.values_list("key", "hotkey")) == {"cat": "2", "dog": "1"}


def test_a_preview_counts_answers_that_count_now_and_stores_nothing():
    project = make_project(classes=("cat", "dog", "cow", "owl"))
    answer(project, "cat", count=3)
    answer(project, "dog", count=2)
    Annotation.objects.filter(regions=choice("dog")).update(current=False)
    before = selectors.class_states(project.schema)
    after = services.next_classes(
        before, task="single", operations=[{"op": "merge", "key": "cat", "into": "cow"}, {"op": "retire", "key": "dog"}]
    )  # fmt: skip
    preview = selectors.preview(project, before=before, after=after)
    assert [(c.kind, c.key, c.answers) for c in preview.changes] == [
        ("merge", "cat", 3),
        ("retire", "dog", 0),
    ]
    assert preview.answers == 3
    assert project.schemas.count() == 1


def test_answers_of_another_project_are_not_counted():
    project, other = make_project(), make_project()
    answer(other, "cat")
    before = selectors.class_states(project.schema)
    after = services.next_classes(before, task="single", operations=[{"op": "add", "name": "Bird"}])
    assert selectors.preview(project, before=before, after=after).answers == 0


def test_an_answer_with_several_classes_counts_for_each():
    project = make_project(task="multi")
    answer(project, "cat", "dog")
    before = selectors.class_states(project.schema)
    after = services.next_classes(before, task="multi", operations=[{"op": "retire", "key": "cat"}])
    assert selectors.preview(project, before=before, after=after).answers == 1


def test_a_project_is_made_with_keys_colours_and_hotkeys():
    project = services.create_project(
        name="Pets",
        modality="text",
        task="single",
        by=make_user(),
        classes=[
            {"name": "Cat"},
            {"name": "2"},
            {"key": "sheep-dog", "hotkey": "1"},
            {"name": "None of these", "is_outlier": True, "hotkey": ""},
        ],
    )
    rows = project.schema.classes.values_list("key", "name", "hotkey", "is_outlier")
    assert list(rows) == [
        ("cat", "Cat", "3", False),
        ("2", "2", "2", False),
        ("sheep-dog", "sheep-dog", "1", False),
        ("none-of-these", "None of these", "", True),
    ]
    assert LabelClass.objects.filter(schema=project.schema).values("colour").distinct().count() == 4
    assert project.memberships.get().role == "owner"


@pytest.mark.parametrize(
    ("classes", "code"),
    [
        ([{"name": "Cat"}], "too_few_classes"),
        ([{"name": "Cat"}, {"name": "cat"}], "name_twice"),
        ([{"name": "Cat"}, {}], "bad_name"),
        ([{"name": "Cat", "hotkey": "/"}, {"name": "Dog"}], "reserved_hotkey"),
        ([{"name": "Cat", "is_outlier": True}, {"name": "Dog", "is_outlier": True}], "two_outliers"),
    ],
)
def test_a_project_with_impossible_classes_is_not_made(classes, code):
    with pytest.raises(Invalid) as error:
        services.create_project(name="Pets", modality="text", task="single", by=make_user(), classes=classes)
    assert error.value.code == code
    assert not Project.objects.exists()
