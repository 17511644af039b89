"""What people agree on."""

from __future__ import annotations

import pytest

from annotator.items.models import Item
from annotator.labeling.models import Annotation
from annotator.projects.models import LabelClass, LabelSchema, Project
from annotator.quality.consensus import consensus
from tests.factories import choice, join, make_items, make_project
from tests.learning.world import answer

pytestmark = pytest.mark.django_db


def votes(project: Project, item: Item, *answers: tuple[str, ...]) -> None:
    for classes in answers:
        answer(project, join(project), item, *classes)


def agreed(project: Project) -> dict[int, str]:
    found = consensus(project)
    return {int(row): found.class_keys[target] for row, target in zip(found.rows, found.targets, strict=True)}


def test_the_majority_decides_and_a_tie_does_not() -> None:
    project = make_project(overlap=3)
    first, second, third = make_items(project, 3)
    votes(project, first, ("cat",), ("dog",), ("cat",))
    votes(project, second, ("cat",), ("dog",))
    votes(project, third, ("dog",))
    found = consensus(project)
    assert agreed(project) == {0: "cat", 2: "dog"}
    assert found.undecided == 1
    assert found.agreement.tolist() == pytest.approx([2 / 3, 1.0])
    assert found.votes.tolist() == [3, 1]


def test_withdrawn_and_earlier_answers_do_not_vote() -> None:
    project = make_project()
    item, other = make_items(project, 2)
    user = join(project)
    answer(project, user, item, "cat")
    Annotation.objects.update(current=False)
    answer(project, user, other, "dog", state="withdrawn")
    assert agreed(project) == {}


def test_archived_and_held_out_items_are_left_out() -> None:
    project = make_project()
    kept, archived = make_items(project, 2)
    (held_out,) = make_items(project, 1, split=Item.Split.TEST)
    for item in (kept, archived, held_out):
        votes(project, item, ("cat",))
    Item.objects.filter(pk=archived.pk).update(archived_at="2026-01-01T00:00Z")
    assert list(agreed(project)) == [kept.row]
    assert consensus(project, splits=("test",)).rows.tolist() == [held_out.row]


def new_version(project: Project, **changes: dict[str, object]) -> LabelSchema:
    schema = LabelSchema.objects.create(project=project, version=project.schema.version + 1)
    for label in LabelClass.objects.filter(schema__project=project, schema__version=schema.version - 1):
        label.pk, label.schema = None, schema
        for field, value in changes.get(label.key, {}).items():
            setattr(label, field, value)
        label.save()
    return schema


def test_merged_classes_vote_for_their_heir() -> None:
    project = make_project(classes=("cat", "kitten", "dog"), overlap=3)
    (item,) = make_items(project, 1)
    votes(project, item, ("cat",), ("kitten",), ("dog",))
    assert agreed(project) == {}
    new_version(project, kitten={"active": False, "merged_into": "cat", "hotkey": ""})
    assert agreed(project) == {0: "cat"}


def test_a_retired_class_without_heir_does_not_vote() -> None:
    project = make_project(overlap=2)
    (item,) = make_items(project, 1)
    votes(project, item, ("cat",), ("dog",))
    new_version(project, dog={"active": False, "hotkey": ""})
    assert agreed(project) == {0: "cat"}


def test_each_class_is_voted_on_by_itself_where_any_number_may_be_chosen() -> None:
    project = make_project(classes=("a", "b", "c"), task="multi", overlap=3)
    item, tied, nothing = make_items(project, 3)
    votes(project, item, ("a", "b"), ("a",), ("a", "c"))
    votes(project, tied, ("a",), ("b",))
    votes(project, nothing, ())
    found = consensus(project)
    assert found.rows.tolist() == [item.row, nothing.row]
    assert found.targets.tolist() == [[True, False, False], [False, False, False]]
    assert found.undecided == 1


def test_the_digest_names_the_training_set() -> None:
    project = make_project()
    first, second = make_items(project, 2)
    votes(project, first, ("cat",))
    before = consensus(project).digest()
    assert consensus(project).digest() == before
    votes(project, second, ("dog",))
    assert consensus(project).digest() != before


def test_nothing_answered_is_an_empty_consensus() -> None:
    found = consensus(make_project())
    assert (len(found), found.undecided, found.targets.shape) == (0, 0, (0,))
    assert consensus(make_project(task="multi")).targets.shape == (0, 2)
    assert choice("cat") == [{"kind": "choice", "classes": ["cat"]}]
