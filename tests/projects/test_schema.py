"""Schema operations as values: whatever people do, keys keep their meaning and every key resolves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.common.errors import Invalid
from annotator.projects import schema
from annotator.projects.changes import heir
from annotator.projects.schema import ClassState, add, apply, merge, reorder, target, validate

CAT, DOG, COW = (ClassState(key, key.title(), hotkey=key[0]) for key in ("cat", "dog", "cow"))
COW = replace(COW, hotkey="w")
PETS = (CAT, DOG, COW)


def by_key(classes):
    return {c.key: c for c in classes}


def active(classes):
    return [c.key for c in classes if c.active]


def refused(classes, *operations, task="single"):
    with pytest.raises(Invalid) as error:
        validate(apply(classes, operations), task=task)
    return error.value.code


def test_a_new_class_gets_a_key_a_colour_and_a_hotkey():
    made = add(PETS, name="  Guinea   pig ")[-1]
    assert (made.key, made.name) == ("guinea-pig", "Guinea pig")
    assert made.hotkey == "1"
    assert made.colour not in {c.colour for c in PETS}


def test_a_key_of_the_past_is_not_given_again():
    without = apply(PETS, [{"op": "retire", "key": "cat"}])
    made = add(without, name="Cat")[-1]
    assert made.key == "cat-2"
    assert by_key(without)["cat"].active is False


def test_names_without_letters_of_the_alphabet_get_keys_too():
    classes = add(add((), name="猫"), name="犬")
    assert [c.key for c in classes] == ["class", "class-2"]


def test_a_class_named_with_one_character_has_it_as_key():
    assert [c.hotkey for c in add(add((), name="7"), name="seven")] == ["7", "1"]


def test_renaming_keeps_the_key():
    renamed = by_key(apply(PETS, [{"op": "rename", "key": "cat", "name": "Feline"}]))["cat"]
    assert (renamed.key, renamed.name) == ("cat", "Feline")


@pytest.mark.parametrize(
    ("operation", "field", "value"),
    [
        ({"op": "recolour", "key": "cat", "colour": "#ABCDEF"}, "colour", "#abcdef"),
        ({"op": "hotkey", "key": "cat", "hotkey": "X"}, "hotkey", "x"),
        ({"op": "describe", "key": "cat", "description": " small "}, "description", "small"),
        ({"op": "parent", "key": "cat", "parent": "dog"}, "parent", "dog"),
        ({"op": "outlier", "key": "cat"}, "is_outlier", True),
    ],
)
def test_each_field_has_its_operation(operation, field, value):
    after = apply(PETS, [operation])
    assert getattr(by_key(after)["cat"], field) == value
    assert [c for c in after if c.key != "cat"] == [c for c in PETS if c.key != "cat"]


def test_the_outlier_mark_moves():
    first = apply(PETS, [{"op": "outlier", "key": "cat"}])
    second = apply(first, [{"op": "outlier", "key": "dog"}])
    assert [c.key for c in second if c.is_outlier] == ["dog"]
    assert not any(c.is_outlier for c in apply(second, [{"op": "outlier", "key": ""}]))


def test_order_names_every_active_class_once():
    assert active(reorder(PETS, keys=["cow", "cat", "dog"])) == ["cow", "cat", "dog"]
    assert refused(PETS, {"op": "reorder", "keys": ["cow", "cat"]}) == "bad_order"
    assert refused(PETS, {"op": "reorder", "keys": ["cow", "cat", "cat"]}) == "bad_order"


def test_merged_answers_count_as_the_heir_also_over_two_merges():
    after = apply(
        PETS, [{"op": "merge", "key": "cat", "into": "dog"}, {"op": "merge", "key": "dog", "into": "cow"}]
    )
    assert [heir(by_key(after), key) for key in ("cat", "dog", "cow")] == ["cow"] * 3


def test_retired_answers_count_for_nothing_and_come_back():
    gone = apply(PETS, [{"op": "retire", "key": "cat"}])
    assert heir(by_key(gone), "cat") is None
    back = apply(gone, [{"op": "reactivate", "key": "cat"}])
    assert heir(by_key(back), "cat") == "cat"
    assert by_key(back)["cat"].hotkey == "c"


def test_a_class_comes_back_without_a_hotkey_that_was_taken_meanwhile():
    gone = apply(PETS, [{"op": "retire", "key": "cat"}, {"op": "hotkey", "key": "dog", "hotkey": "c"}])
    back = by_key(apply(gone, [{"op": "reactivate", "key": "cat"}]))["cat"]
    assert (back.active, back.hotkey) == (True, "")


def test_children_move_up_when_their_parent_retires_and_along_when_it_is_merged():
    tree = (CAT, replace(DOG, parent="cat"), replace(COW, parent="dog"))
    assert by_key(schema.retire(tree, key="dog"))["cow"].parent == "cat"
    assert by_key(merge(tree, key="dog", into="cat"))["cow"].parent == "cat"
    assert by_key(merge(tree, key="cat", into="cow"))["dog"].parent == ""


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "add", "name": "CAT"}, "name_twice"),
        ({"op": "add", "name": " "}, "bad_name"),
        ({"op": "add", "name": "x" * 101}, "bad_name"),
        ({"op": "add", "name": 7}, "bad_class"),
        ({"op": "add", "name": "bird", "key": "cat"}, "bad_key"),
        ({"op": "add", "name": "bird", "key": "A bird"}, "bad_key"),
        ({"op": "add", "name": "bird", "active": False}, "bad_field"),
        ({"op": "rename", "key": "bird", "name": "x"}, "unknown_class"),
        ({"op": "rename", "key": "cat", "colour": "#000000"}, "bad_field"),
        ({"op": "recolour", "key": "cat", "colour": "red"}, "bad_colour"),
        ({"op": "hotkey", "key": "cat", "hotkey": "d"}, "hotkey_twice"),
        ({"op": "hotkey", "key": "cat", "hotkey": "D"}, "hotkey_twice"),
        ({"op": "hotkey", "key": "cat", "hotkey": "/"}, "reserved_hotkey"),
        ({"op": "hotkey", "key": "cat", "hotkey": " "}, "reserved_hotkey"),
        ({"op": "hotkey", "key": "cat", "hotkey": "ab"}, "bad_hotkey"),
        ({"op": "describe", "key": "cat", "description": "x" * 2001}, "bad_description"),
        ({"op": "describe", "key": "cat", "description": "\x00"}, "bad_class"),
        ({"op": "parent", "key": "cat", "parent": "cat"}, "parent_cycle"),
        ({"op": "parent", "key": "cat", "parent": "bird"}, "unknown_parent"),
        ({"op": "merge", "key": "cat", "into": "cat"}, "self_merge"),
        ({"op": "merge", "key": "cat", "into": "bird"}, "unknown_class"),
        ({"op": "reactivate", "key": "cat"}, "active_class"),
        ({"op": "change", "key": "cat", "is_outlier": "yes"}, "bad_class"),
        ({"op": "explode", "key": "cat"}, "unknown_operation"),
        ({"key": "cat"}, "unknown_operation"),
        ({"op": "merge", "key": "cat"}, "bad_operation"),
        ({"op": "reorder", "keys": [1, "cat"]}, "bad_operation"),
    ],
)
def test_an_operation_that_breaks_a_rule_is_refused_with_its_code(operation, code):
    assert refused(PETS, operation) == code


def test_a_longer_circle_of_parents_is_refused():
    code = refused(
        PETS,
        {"op": "parent", "key": "cat", "parent": "dog"},
        {"op": "parent", "key": "dog", "parent": "cow"},
        {"op": "parent", "key": "cow", "parent": "cat"},
    )
    assert code == "parent_cycle"


def test_two_classes_are_the_least_where_one_is_chosen_and_one_where_any_number_is():
    operations = [{"op": "retire", "key": "cat"}, {"op": "retire", "key": "dog"}]
    assert refused(PETS, *operations) == "too_few_classes"
    validate(apply(PETS, operations), task="multi")
    assert refused(PETS, *operations, {"op": "retire", "key": "cow"}, task="multi") == "too_few_classes"


def test_what_is_gone_cannot_be_retired_or_merged_again():
    gone = apply(PETS, [{"op": "retire", "key": "cat"}])
    assert refused(gone, {"op": "retire", "key": "cat"}) == "inactive_class"
    assert refused(gone, {"op": "merge", "key": "dog", "into": "cat"}) == "inactive_class"


def test_a_full_list_adds_changes_retires_and_orders():
    after = target(PETS, [{"name": "Bird"}, {"key": "dog", "name": "Hound"}])
    assert active(after) == ["bird", "dog"]
    assert by_key(after)["dog"].name == "Hound"
    assert by_key(after)["dog"].hotkey == "d"
    assert by_key(after)["cat"].merged_into == ""


def test_a_full_list_merges_into_what_is_new_and_in_any_order():
    wanted = [
        {"key": "dog", "merge_into": "cow"},
        {"key": "cat", "merge_into": "dog"},
        {"key": "cow", "merge_into": "animal"},
        {"key": "animal", "name": "Animal"},
        {"name": "Plant"},
    ]
    after = target(PETS, wanted)
    assert active(after) == ["animal", "plant"]
    assert {heir(by_key(after), key) for key in ("cat", "dog", "cow")} == {"animal"}


def test_a_full_list_cannot_merge_in_a_circle_or_name_a_class_twice():
    circle = [{"key": "cat", "merge_into": "dog"}, {"key": "dog", "merge_into": "cat"}, {"key": "cow"}]
    with pytest.raises(Invalid) as error:
        target(PETS, circle)
    assert error.value.code == "merge_cycle"
    with pytest.raises(Invalid) as error:
        target(PETS, [{"key": "cat"}, {"key": "cat"}])
    assert error.value.code == "listed_twice"


def test_a_full_list_brings_classes_back_and_leaves_the_others_gone():
    gone = apply(PETS, [{"op": "retire", "key": "cat"}, {"op": "merge", "key": "dog", "into": "cow"}])
    after = target(
        add(gone, name="ox"), [{"key": "cow"}, {"key": "ox"}, {"key": "cat"}, {"key": "dog", "active": False}]
    )
    assert active(after) == ["cow", "ox", "cat"]
    assert by_key(after)["dog"].merged_into == "cow"


def test_the_list_as_it_is_changes_nothing():
    gone = apply(
        (*PETS, replace(CAT, key="owl", name="Owl", hotkey="")),
        [{"op": "merge", "key": "cat", "into": "dog"}],
    )
    wanted = [{"key": c.key, "name": c.name, "hotkey": c.hotkey} for c in gone if c.active]
    assert target(gone, wanted) == gone


KEYS = st.sampled_from(["cat", "dog", "cow", "a", "b", "a-2", "nobody"])
OPERATION = st.one_of(
    st.builds(lambda name: {"op": "add", "name": name}, st.sampled_from(["a", "b", "A", "Dog"])),
    st.builds(lambda key, name: {"op": "rename", "key": key, "name": name}, KEYS, st.sampled_from(["a", "x", "Cat"])),
    st.builds(lambda key, k: {"op": "hotkey", "key": key, "hotkey": k}, KEYS, st.sampled_from(["", "c", "x", "9"])),
    st.builds(lambda key, parent: {"op": "parent", "key": key, "parent": parent}, KEYS, st.one_of(st.just(""), KEYS)),
    st.builds(lambda key: {"op": "outlier", "key": key}, KEYS),
    st.builds(lambda key: {"op": "retire", "key": key}, KEYS),
    st.builds(lambda key: {"op": "reactivate", "key": key}, KEYS),
    st.builds(lambda key, into: {"op": "merge", "key": key, "into": into}, KEYS, KEYS),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATION, max_size=25))
def test_any_sequence_of_edits_keeps_what_was_promised(operations):
    classes = PETS
    meaning = {c.key: c for c in classes}
    for operation in operations:
        try:
            after = apply(classes, [operation])
            validate(after, task="single")
        except Invalid:
            continue
        keys = [c.key for c in after]
        assert len(set(keys)) == len(keys), "a key stands for one class"
        assert set(keys) >= {c.key for c in classes}, "no key is ever lost"
        if operation["op"] != "rename":
            for c in classes:
                assert by_key(after)[c.key].name == c.name, "only renaming changes a name"
        classes = after
        meaning |= {c.key: c for c in classes}
        resolved = {key: heir(by_key(classes), key) for key in meaning}
        assert set(resolved) == set(keys), "every key ever used resolves"
        living = set(active(classes))
        assert all(today in living for today in resolved.values() if today is not None)
        assert all(resolved[key] == key for key in living), "what is offered counts as itself"
        assert len(living) >= 2
        hotkeys = [c.hotkey for c in classes if c.active and c.hotkey]
        assert len(set(hotkeys)) == len(hotkeys)
        assert sum(c.is_outlier for c in classes if c.active) <= 1
        assert all(c.parent in living for c in classes if c.active and c.parent), "parents are offered too"
