from __future__ import annotations

import threading

import pytest
from django.db import DatabaseError, connection
from pytest_django import DjangoAssertNumQueries

from annotator.items import files
from annotator.items.models import Asset, ImportedLabel, Item
from annotator.items.services import (
    NewItem,
    Outcome,
    add_items,
    file_words,
    item_lock,
    remove_unused_assets,
)
from annotator.projects.models import Project
from tests.factories import make_project
from tests.items.makers import add_image, image_item, text_item
from tests.modalities.images import image_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def add(project: Project, *items: NewItem) -> list[Outcome]:
    return add_items(project_id=project.pk, items=items, source="test")


def test_items_get_dense_rows_in_order(project: Project) -> None:
    assert add(project, text_item("a", "1"), text_item("b", "2")) == [Outcome.CREATED] * 2
    add(project, text_item("b", "2"), text_item("c", "3"))
    rows = Item.objects.filter(project=project).order_by("row").values_list("row", "external_id", "text")
    assert list(rows) == [(0, "1", "a"), (1, "2", "b"), (2, "3", "c")]


def test_adding_again_adds_nothing_and_reserves_no_rows(project: Project) -> None:
    batch = [text_item("a", "1"), text_item("b"), text_item("c")]
    add(project, *batch)
    assert add(project, *batch) == [Outcome.KNOWN] * 3
    project.refresh_from_db()
    assert (project.next_row, Item.objects.count()) == (3, 3)


def test_an_id_with_other_content_is_refused_and_the_item_stays(project: Project) -> None:
    add(project, text_item("old", "1"))
    assert add(project, text_item("new", "1")) == [Outcome.CHANGED]
    assert Item.objects.get().text == "old"


def test_repeats_within_a_batch_are_seen(project: Project) -> None:
    outcomes = add(project, text_item("a", "1"), text_item("a", "1"), text_item("b", "1"), text_item("a"))
    assert outcomes == [Outcome.CREATED, Outcome.KNOWN, Outcome.CHANGED, Outcome.KNOWN]
    assert Item.objects.get().row == 0


def test_without_an_id_the_content_decides(project: Project) -> None:
    add(project, text_item("a", "1"))
    assert add(project, text_item("a"), text_item("b")) == [Outcome.KNOWN, Outcome.CREATED]
    assert Item.objects.get(text="b").external_id == text_item("b").digest[:32]


def test_the_same_content_under_two_ids_is_two_items(project: Project) -> None:
    assert add(project, text_item("a", "1"), text_item("a", "2")) == [Outcome.CREATED] * 2


def test_projects_do_not_see_each_other(project: Project) -> None:
    other = make_project()
    add(project, text_item("a", "1"))
    assert add(other, text_item("b", "1")) == [Outcome.CREATED]
    assert Item.objects.get(project=other).row == 0


def test_content_that_needs_escaping_survives(project: Project) -> None:
    texts = ["tab\there", "line\nbreak", "back\\slash \\N", "\\.", "'quote' \"double\"", "ü🙂\u2028", "%s {}"]
    add(project, *(text_item(t, meta={"x": t}) for t in texts))
    items = Item.objects.order_by("row")
    assert [i.text for i in items] == texts
    assert [i.meta for i in items] == [{"x": t} for t in texts]


def test_imported_labels_stand_apart_and_follow_the_newest_import(project: Project) -> None:
    add(project, text_item("a", "1", classes=("cat",)), text_item("b", "2"))
    assert ImportedLabel.objects.get().classes == ["cat"]
    add(project, text_item("a", "1", classes=("dog",)), text_item("b", "2", classes=("dog",)))
    add(project, text_item("other", "1", classes=("mouse",)))
    labels = ImportedLabel.objects.order_by("item__row").values_list("item__external_id", "classes")
    assert list(labels) == [("1", ["dog"]), ("2", ["dog"])]
    assert not Item.objects.get(external_id="1").annotations.exists()


def test_images_share_their_bytes(project: Project) -> None:
    data = image_bytes()
    add(project, image_item(data, "a.png"), image_item(data, "b.png"))
    asset = Asset.objects.get()
    assert (asset.width, asset.height, asset.media_type) == (6, 4, "image/png")
    assert {i.asset_id for i in Item.objects.all()} == {asset.pk}
    assert files.asset_path(project.pk, asset.digest).read_bytes() == data


def test_a_large_image_gets_a_thumbnail_and_a_tiff_a_picture_for_browsers(project: Project) -> None:
    data = image_bytes((600, 400), "TIFF")
    item = image_item(data)
    assert item.asset
    files.make_pictures(project.pk, item.digest, data)
    assert files.thumbnail_path(project.pk, item.digest).exists()
    assert files.display_path(project.pk, item.digest).exists()


def test_a_file_cut_short_by_a_crash_is_written_again(project: Project) -> None:
    data = image_bytes()
    path = files.asset_path(project.pk, files.digest_of(data))
    files.write_atomically(path, b"")
    add_image(project, data)
    assert path.read_bytes() == data


def test_the_number_of_statements_does_not_depend_on_the_number_of_items(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def statements(items: list[NewItem]) -> int:
        with django_assert_num_queries(8):
            add(project, *items)
        return len(items)

    assert [statements([text_item(f"{n}-{k}") for k in range(n)]) for n in (1, 50)] == [1, 50]


def test_many_texts_are_found_before_and_after_their_words_are_filed(project: Project) -> None:
    add(project, *(text_item(f"number {n} needle{n}", str(n)) for n in range(1_200)))
    for _ in range(2):
        assert Item.objects.search("needle777").get().external_id == "777"
        file_words()


@pytest.mark.django_db(transaction=True)
def test_unused_assets_go_and_used_ones_stay() -> None:
    project = make_project()
    used, unused = add_image(project, image_bytes((1, 1)), "a"), add_image(project, image_bytes((2, 2)), "b")
    assert used.asset
    assert unused.asset
    paths = {n: files.asset_path(project.pk, n) for n in (used.asset.digest, unused.asset.digest)}
    with item_lock(project.pk):
        unused.delete()
        remove_unused_assets(project_id=project.pk, digests=list(paths))
    assert Asset.objects.get() == used.asset
    assert [path.exists() for path in paths.values()] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_items_at_once_add_each_once() -> None:
    project = make_project()
    batch = [text_item(f"text {n}", str(n)) for n in range(200)]
    outcomes: list[list[Outcome]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            outcomes.append(add_items(project_id=project.pk, items=batch, source="test"))
        except DatabaseError as error:
            errors.append(error)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(each.count(Outcome.CREATED) for each in outcomes) == [0, 0, 200]
    assert sorted(Item.objects.filter(project=project).values_list("row", flat=True)) == list(range(200))


def test_search_finds_beginnings_of_words_and_ids(project: Project) -> None:
    add(
        project,
        text_item("The house is red", "a-1"),
        text_item("Redness of HOUSES", "b-1"),
        text_item("nothing", "a-2"),
    )

    def found(words: str) -> list[str]:
        return sorted(
            Item.objects.filter(project=project).search(words).values_list("external_id", flat=True)
        )

    assert found("house") == ["a-1", "b-1"]
    assert found("house red") == ["a-1", "b-1"]
    assert found("house is") == ["a-1"]
    assert found("a-") == ["a-1", "a-2"]
    assert found("'); drop | & ! <->") == []
    assert found("%") == []


def test_a_text_of_the_largest_size_can_be_stored_and_searched(project: Project) -> None:
    words = " ".join(f"w{n}" for n in range(140_000))[: 2**20]
    assert add(project, text_item(words, "big")) == [Outcome.CREATED]
    assert Item.objects.search("w77").exists()
