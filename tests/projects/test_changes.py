"""What a preview says: in words, with counts, and what the model will do."""

from __future__ import annotations

from dataclasses import replace

from annotator.projects.changes import changes
from annotator.projects.schema import ClassState, apply

PETS = tuple(ClassState(key, key.title()) for key in ("cat", "dog", "cow"))


def of(*operations, answers=None, before=PETS):
    return changes(before, apply(before, operations), answers=answers)


def test_nothing_changed_is_nothing_to_say():
    assert of() == []


def test_each_kind_of_change_is_told():
    told = of(
        {"op": "rename", "key": "cat", "name": "Feline"},
        {"op": "merge", "key": "dog", "into": "cat"},
        {"op": "add", "name": "Bird"},
    )
    assert {c.kind: c.text for c in told} == {
        "rename": "“Cat” is renamed to “Feline”.",
        "merge": "“Dog” is merged into “Feline”.",
        "add": "“Bird” is new.",
    }
    assert all(c.model for c in told)


def test_small_changes_of_one_class_are_told_together():
    told = of(
        {"op": "recolour", "key": "cat", "colour": "#000000"}, {"op": "hotkey", "key": "cat", "hotkey": "c"}
    )
    assert [c.text for c in told] == ["“Cat” is recoloured and given another key."]


def test_a_new_order_is_told_once():
    told = of({"op": "reorder", "keys": ["cow", "cat", "dog"]})
    assert [c.kind for c in told] == ["reorder"]


def test_retiring_is_no_new_order():
    assert [c.kind for c in of({"op": "retire", "key": "cat"})] == ["retire"]


def test_answers_are_counted_by_what_they_count_as_before_the_change():
    before = apply(PETS, [{"op": "merge", "key": "cat", "into": "dog"}])
    told = of({"op": "retire", "key": "dog"}, before=before, answers={"cat": 3, "dog": 4, "cow": 5})
    assert [(c.kind, c.answers) for c in told] == [("retire", 7)]


def test_a_class_that_comes_back_brings_its_answers():
    before = tuple(replace(c, active=c.key != "cat") for c in PETS)
    told = of({"op": "reactivate", "key": "cat"}, before=before, answers={"cat": 3})
    assert [(c.kind, c.answers) for c in told] == [("reactivate", 3)]
