"""What people agree on."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.items.models import Item
from annotator.labeling.models import Annotation
from annotator.projects.models import LabelClass, LabelSchema, Project
from annotator.quality.consensus import answers_reader, consensus
from annotator.quality.models import Decision, GoldItem, QualitySettings
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


def stubborn(project: Project, count: int = 12) -> list[Item]:
    """One person is always right, two always wrong together; reviewers decided the first items."""
    knows, wrong, follows = (join(project) for _ in range(3))
    items = make_items(project, count)
    for n, item in enumerate(items):
        right, other = ("cat", "dog") if n % 2 else ("dog", "cat")
        answer(project, knows, item, right)
        answer(project, wrong, item, other)
        answer(project, follows, item, other)
        if n < 8:
            Decision.objects.create(project=project, item=item, schema=project.schema, classes=[right])
    return items


@pytest.mark.parametrize("method", ["dawid_skene", "one_coin"])
def test_decisions_teach_the_other_methods_whom_to_believe(method: str) -> None:
    project = make_project(overlap=3)
    stubborn(project)
    assert agreed(project)[11] == "dog", "the majority believes the two"
    QualitySettings.objects.create(project=project, method=method)
    assert agreed(project)[11] == "cat"
    found = consensus(project)
    assert found.agreement[11] == pytest.approx(1 / 3)
    assert found.confidence[11] > 0.9
    assert found.settled.tolist() == [True] * 8 + [False] * 4


def test_a_reviewer_s_word_counts_whatever_the_answers_say_and_where_there_are_none() -> None:
    project = make_project(overlap=2)
    tied, silent, other = make_items(project, 3)
    votes(project, tied, ("cat",), ("dog",))
    votes(project, other, ("dog",))
    for item in (tied, silent):
        Decision.objects.create(project=project, item=item, schema=project.schema, classes=["cat"])
    found = consensus(project)
    assert agreed(project) == {0: "cat", 1: "cat", 2: "dog"}
    assert (found.votes.tolist(), found.agreement.tolist()) == ([0, 0, 1], [1.0, 1.0, 1.0])


def test_gold_is_learned_from_and_held_out_items_are_not() -> None:
    project = make_project()
    item, held_out = make_items(project, 1)[0], make_items(project, 1, split=Item.Split.TEST)[0]
    GoldItem.objects.create(project=project, item=item, classes=["dog"])
    Item.objects.filter(pk=item.pk).update(split=Item.Split.GOLD)
    votes(project, item, ("cat",), ("cat",))
    votes(project, held_out, ("cat",))
    assert agreed(project) == {item.row: "dog"}


def test_a_decision_for_a_merged_class_counts_for_its_heir_and_for_a_retired_one_not_at_all() -> None:
    project = make_project(classes=("cat", "kitten", "dog"))
    first, second = make_items(project, 2)
    for item, key in ((first, "kitten"), (second, "dog")):
        Decision.objects.create(project=project, item=item, schema=project.schema, classes=[key])
    new_version(
        project,
        kitten={"active": False, "merged_into": "cat", "hotkey": ""},
        dog={"active": False, "hotkey": ""},
    )
    assert agreed(project) == {first.row: "cat"}


@pytest.mark.parametrize("method", ["dawid_skene", "one_coin"])
def test_each_class_has_a_posterior_of_its_own_where_any_number_may_be_chosen(method: str) -> None:
    project = make_project(classes=("a", "b"), task="multi", overlap=3)
    people = [join(project) for _ in range(3)]
    items = make_items(project, 10)
    for n, item in enumerate(items):
        truth = (("a",), ("a", "b"), ("b",), ())[n % 4]
        for person in people[:2]:
            answer(project, person, item, *truth)
        answer(project, people[2], item, "a")
    QualitySettings.objects.create(project=project, method=method)
    found = consensus(project)
    assert found.rows.tolist() == list(range(10))
    assert found.targets[:4].tolist() == [[True, False], [True, True], [False, True], [False, False]]
    assert np.isfinite(found.confidence).all()


def test_a_reader_of_parts_says_what_the_whole_project_says() -> None:
    project = make_project(overlap=3)
    stubborn(project)
    part = [(10, ["dog"]), (10, ["cat"]), (10, ["cat"]), (11, ["cat"]), (11, ["dog"]), (11, ["dog"])]
    for method, expected in (("majority", [0, 1]), ("dawid_skene", [1, 0])):
        QualitySettings.objects.update_or_create(project=project, defaults={"method": method})
        found = answers_reader(project, project.schema)(part)
        assert (found.rows.tolist(), found.targets.tolist()) == ([10, 11], expected)
