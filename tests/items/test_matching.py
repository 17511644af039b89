from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from annotator.items import matching
from annotator.items.checking import Checker, folded
from annotator.items.matching import MAX_ID, MAX_SUFFIX, Match, NewItem, OnConflict, Outcome, suffixed
from annotator.items.models import ImportedLabel, Item
from annotator.items.services import place_items
from annotator.projects.models import Project
from tests.factories import make_project
from tests.items.makers import text_item

pytestmark = pytest.mark.django_db
NEW = OnConflict.NEW


@pytest.fixture
def project() -> Project:
    return make_project()


def place(project: Project, *items: NewItem, policy: str = NEW) -> list[Match]:
    return place_items(project_id=project.pk, items=items, source="test", on_conflict=policy)


def outcomes(matches: list[Match]) -> list[tuple[Outcome, str]]:
    return [(match.outcome, match.name) for match in matches]


def there(project: Project) -> list[tuple[str, str | None]]:
    return list(Item.objects.filter(project=project).order_by("row").values_list("external_id", "text"))


def test_a_row_whose_id_has_other_content_goes_in_beside_it(project: Project) -> None:
    place(project, text_item("old", "1"))
    [match] = place(project, text_item("new", "1"))
    assert match == Match(Outcome.CREATED, "1#2", None, True)
    assert there(project) == [("1", "old"), ("1#2", "new")]


def test_the_next_free_suffix_is_taken(project: Project) -> None:
    rows = [text_item(f"text {n}", "1") for n in range(30)]
    place(project, text_item("somebody's own", "1#3"))
    place(project, *rows)
    names = [name for name, _ in there(project)]
    assert names == ["1#3", "1", "1#2", *(f"1#{n}" for n in range(4, 32))]


def test_many_rows_of_one_id_cost_few_look_ups(
    project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    rows = [text_item(f"text {n}", "1") for n in range(MAX_SUFFIX)]
    with django_assert_max_num_queries(25):
        first = place(project, *rows)
    assert outcomes(first)[-1] == (Outcome.CREATED, f"1#{MAX_SUFFIX}")
    with django_assert_max_num_queries(25):
        again = place(project, *reversed(rows))
    assert {match.outcome for match in again} == {Outcome.KNOWN}
    assert [match.name for match in reversed(again)] == [match.name for match in first]


def test_a_name_is_computed_once_for_all_rows_of_an_id(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def counting(name: str, number: int) -> str:
        tried.append(number)
        return suffixed(name, number)

    monkeypatch.setattr(matching, "suffixed", counting)
    place(project, *(text_item(f"text {n}", "1") for n in range(500)))
    assert len(tried) < 5 * 500


def test_an_id_takes_a_bounded_number_of_contents(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_SUFFIX", 11)
    rows = [text_item(f"text {n}", "1") for n in range(14)]
    for policy in (NEW, NEW):
        last = place(project, *rows, text_item("other", "2"), policy=policy)
        assert [match.outcome for match in last[11:14]] == [Outcome.CHANGED] * 3
        assert {(match.name, match.conflict) for match in last[11:14]} == {("1", True)}
    assert len(there(project)) == 12


@pytest.mark.parametrize("policy", list(OnConflict))
def test_the_same_rows_again_add_nothing(project: Project, policy: str) -> None:
    place(project, text_item("old", "1"))
    rows = [text_item("new", "1"), text_item("newer", "1"), text_item("new", "1"), text_item("free")]
    place(project, *rows, policy=policy)
    before = there(project)
    again = place(project, *rows, policy=policy)
    assert Outcome.CREATED not in {match.outcome for match in again}
    assert there(project) == before


def test_rows_that_conflict_among_themselves_stay_apart(project: Project) -> None:
    found = place(project, text_item("a", "1"), text_item("b", "1"), text_item("a", "1"), text_item("b", "1"))
    assert outcomes(found) == [
        (Outcome.CREATED, "1"),
        (Outcome.CREATED, "1#2"),
        (Outcome.KNOWN, "1"),
        (Outcome.KNOWN, "1#2"),
    ]


def test_by_default_the_item_that_is_there_stays(project: Project) -> None:
    place(project, text_item("old", "1"))
    [match] = place(project, text_item("new", "1"), policy=OnConflict.KEEP)
    assert (match.outcome, match.conflict) == (Outcome.CHANGED, True)
    assert there(project) == [("1", "old")]


def test_labels_follow_the_row_to_its_new_id(project: Project) -> None:
    place(project, text_item("old", "1", classes=("cat",)), text_item("new", "1", classes=("dog",)))
    place(project, text_item("new", "1", classes=("mouse",)))
    labels = ImportedLabel.objects.order_by("item__row").values_list("item__external_id", "classes")
    assert list(labels) == [("1", ["cat"]), ("1#2", ["mouse"])]


def test_the_longest_id_still_has_room_for_a_suffix() -> None:
    assert suffixed("x" * MAX_ID, 12) == "x" * (MAX_ID - 3) + "#12"


def test_looking_up_does_not_cost_more_in_a_larger_project(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    place(project, *(text_item(f"text {n}", str(n)) for n in range(300)))
    with django_assert_num_queries(8):
        place(project, text_item("other", "1"))


# What a check finds, without adding anything


def check(project: Project, *batches: list[NewItem], policy: str = OnConflict.KEEP, files: bool = False):
    with Checker(project.pk, on_conflict=policy, files=files) as checker:
        return [finding for batch in batches for finding in checker.check(batch)]


@pytest.mark.parametrize("policy", list(OnConflict))
def test_a_check_foretells_what_adding_does_and_adds_nothing(project: Project, policy: str) -> None:
    place(project, text_item("old", "1"), text_item("same"), policy=policy)
    first = [text_item("new", "1"), text_item("a", "2"), text_item("same"), text_item("unnamed")]
    second = [text_item("b", "2"), text_item("a", "2"), text_item("new", "1"), text_item("unnamed")]
    before = there(project)
    foretold = check(project, first, second, policy=policy)
    assert there(project) == before
    done = [*place(project, *first, policy=policy), *place(project, *second, policy=policy)]
    assert outcomes([finding.match for finding in foretold]) == outcomes(done)


def test_a_check_leaves_nothing_behind_for_the_next_one(project: Project) -> None:
    for _ in range(2):
        [finding] = check(project, [text_item("a", "1")])
        assert finding.match.outcome is Outcome.CREATED


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat/Image.png", "cat/image.png"),
        ("a.png", "a.jpg"),
        ("über.png", "u\u0308ber.png"),
        ("A.PNG", "a.jpeg"),
    ],
)
def test_names_that_are_nearly_the_same_are_told_wherever_they_are(
    project: Project, first: str, second: str
) -> None:
    rows = [text_item("one", first), text_item("two", second)]
    assert [finding.alike for finding in check(project, rows, files=True)] == ["", first]
    assert [finding.alike for finding in check(project, rows[:1], rows[1:], files=True)] == ["", first]
    assert {finding.match.outcome for finding in check(project, rows, files=True)} == {Outcome.CREATED}


@pytest.mark.parametrize(
    ("there_already", "coming"),
    [
        ("a.jpg", "a.png"),
        ("set/img.png", "set/IMG.png"),
        ("A.PNG", "a.png"),
        ("u\u0308.png", "ü.png"),
    ],
)
def test_names_that_the_project_nearly_has_are_told(
    project: Project, there_already: str, coming: str
) -> None:
    place(project, text_item("one", there_already), text_item("far", "b/x.png"))
    [finding] = check(project, [text_item("two", coming)], files=True)
    assert finding.alike == there_already


def test_other_names_are_not_taken_for_the_same(project: Project) -> None:
    place(project, text_item("one", "a.b.png"), text_item("two", "a"), text_item("three", "x/a.png"))
    rows = [text_item("four", "a.png"), text_item("five", "b.png"), text_item("six", ".png")]
    found = check(project, rows, files=True)
    assert [finding.alike for finding in found] == ["", "", ""]


def test_ids_of_texts_are_codes_and_not_names(project: Project) -> None:
    found = check(project, [text_item("one", "Ab"), text_item("two", "aB")])
    assert [finding.alike for finding in found] == ["", ""]


def test_what_is_left_of_a_name() -> None:
    assert folded("Set/Über.PNG") == folded("set/u\u0308ber.jpg") == "set/über"
    assert folded("a.b/c") == "a.b/c"
