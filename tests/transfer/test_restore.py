"""A native export comes back as it was, or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from annotator.accounts.models import User
from annotator.items.models import Asset, ImportedLabel, ImportedPrediction, Item
from annotator.items.services import add_predictions
from annotator.labeling.models import Annotation, Skip
from annotator.learning.models import LearningSettings
from annotator.projects.models import Project
from annotator.projects.schema import FIELDS
from annotator.quality.consensus import consensus
from annotator.quality.models import Decision, GoldItem
from annotator.quality.services import add_gold, decide, settings_of, update_settings
from annotator.transfer.formats import Source
from annotator.transfer.models import RestoredPerson
from annotator.transfer.restore import RestoreFailed, can_restore, restore
from tests.factories import join, make_project
from tests.transfer.makers import run, upload
from tests.transfer.projects import (
    answer,
    data_of,
    export,
    rich_image_project,
    rich_text_project,
    text_items,
    unpacked,
)

pytestmark = pytest.mark.django_db


def restored(project: Project, **options: Any) -> Project:
    """A fresh project with all that an export of `project` holds."""
    made = export(project, "native", **options)
    fresh = make_project(modality=project.modality, name="Again")
    path = data_of(made)
    for _ in restore(project=fresh, source=Source(path, path.name)):
        pass
    return Project.objects.get(pk=fresh.pk)


def classes_of(project: Project) -> list[Any]:
    return [
        (
            version.version,
            version.note,
            version.created_at,
            list(version.classes.values_list("order", *FIELDS)),
        )
        for version in project.schemas.order_by("version")
    ]


@pytest.mark.parametrize(
    "make", [rich_text_project, lambda: rich_text_project(task="multi"), rich_image_project]
)
def test_exporting_the_restored_project_gives_the_same_records(make: Callable[[], Project]) -> None:
    project = make()
    again = restored(project)
    assert export(again, "native").digest == export(project, "native").digest
    assert classes_of(again) == classes_of(project)
    assert (again.task, again.overlap, again.next_row) == (project.task, project.overlap, project.next_row)
    assert consensus(again).digest() == consensus(project).digest()


def test_decisions_gold_and_how_labels_become_one_are_there() -> None:
    project = rich_text_project()
    items = list(project.items.order_by("row"))
    decide(project=project, item_id=items[1].pk, classes=["dog"], by=project.created_by, note="a bark")
    add_gold(project=project, item_id=items[4].pk, classes=["cat"], by=None)
    update_settings(settings=settings_of(project), values={"method": "one_coin", "gold_share": 0.1})
    again = restored(project)
    for model in (Decision, GoldItem):
        fields = ("item__row", "classes", "created_at")
        assert list(model.objects.filter(project=again).values_list(*fields)) == list(
            model.objects.filter(project=project).values_list(*fields)
        )
    assert Decision.objects.get(project=again).note == "a bark"
    assert (again.quality.method, again.quality.gold_share) == ("one_coin", 0.1)
    assert export(again, "native").digest == export(project, "native").digest


def test_rows_splits_answers_and_skips_are_there() -> None:
    project = rich_text_project()
    again = restored(project)
    for model in (Annotation, Skip, ImportedLabel, ImportedPrediction, Item):
        path = "project" if model in (Annotation, Skip, Item) else "item__project"
        assert (
            model.objects.filter(**{path: again}).count()
            == model.objects.filter(**{path: project}).count()
            > 0
        )
    fields = ("row", "external_id", "text", "split", "meta", "content_hash", "created_at", "archived_at")
    assert list(again.items.order_by("row").values_list(*fields)) == list(
        project.items.order_by("row").values_list(*fields)
    )
    answers = (
        "item__row",
        "revision",
        "current",
        "state",
        "seconds",
        "served",
        "suggestion",
        "regions",
        "created_at",
    )
    assert list(again.annotations.order_by("created_at").values_list(*answers)) == list(
        project.annotations.order_by("created_at").values_list(*answers)
    )
    assert Annotation.objects.filter(project=again, suggestion__isnull=True).exists()


def test_seeds_and_strategies_of_learning_come_along() -> None:
    project = rich_text_project()
    LearningSettings.objects.filter(project=project).update(seed=77, batch_size=5)
    again = LearningSettings.objects.get(project=restored(project))
    assert (again.seed, again.batch_size) == (77, 5)


def test_an_encoder_that_is_not_here_does_not_keep_the_answers_out(tmp_path: Path) -> None:
    source = spoil(lambda h, r: h["learning"].update(encoder="unheard-of", seed=5), tmp_path)
    project = make_project()
    assert list(restore(project=project, source=source))
    learning = LearningSettings.objects.get(project=project)
    assert (learning.encoder, learning.seed) == ("tfidf", 5)


def test_people_become_accounts_nobody_can_use_under_their_pseudonyms() -> None:
    project = rich_text_project()
    again = restored(project)
    users = User.objects.filter(pk__in=again.annotations.values("annotator"))
    assert users.count() == 3
    assert not any(user.is_active or user.has_usable_password() for user in users)
    assert not again.memberships.filter(user__in=users).exists()
    names = {vote["annotator"] for line in lines_of(export(project, "native")) for vote in line["votes"]}
    assert set(RestoredPerson.objects.filter(project=again).values_list("pseudonym", flat=True)) == names


def test_gaps_of_deleted_items_stay_gaps() -> None:
    project = rich_text_project()
    project.items.filter(row__in=[2, 11]).delete()
    again = restored(project)
    assert list(again.items.order_by("row").values_list("row", flat=True)) == [0, 1, *range(3, 11)]
    assert again.next_row == project.next_row == 12


def test_importing_a_native_export_into_an_empty_project_restores_it() -> None:
    project = rich_text_project()
    made = export(project, "native")
    fresh = make_project()
    record, job = run(fresh, upload("records.zip", data_of(made).read_bytes()))
    assert job.state == "succeeded", job.error
    assert record.counts["created"] == project.items.count()
    assert export(Project.objects.get(pk=fresh.pk), "native").digest == made.digest


def test_into_a_project_with_items_the_agreed_answers_come_as_imported_labels() -> None:
    project = rich_text_project()
    made = export(project, "native")
    other = make_project(classes=("cat", "dog"))
    text_items(other, ("something else",))
    _, job = run(other, upload("records.jsonl", unpacked(made)["records.jsonl"]))
    assert job.state == "succeeded", job.error
    assert not other.annotations.exists()
    assert ImportedLabel.objects.get(item__project=other, item__external_id="id-2").classes == ["dog"]
    with pytest.raises(RestoreFailed, match="has items"):
        list(restore(project=other, source=Source(data_of(made), "x.zip")))


def test_a_run_that_was_interrupted_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.transfer import restore as module

    monkeypatch.setattr(module, "BATCH", 4)
    project = rich_text_project()
    made = export(project, "native")
    fresh = make_project()
    source = Source(data_of(made), "x.zip")
    first = restore(project=fresh, source=source)
    assert next(first).items == 4
    first.close()
    assert not can_restore(fresh)
    *_, last = restore(project=fresh, source=source, resumed=True)
    assert last.items == project.items.count()
    assert export(Project.objects.get(pk=fresh.pk), "native").digest == made.digest


def lines_of(made: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(made)["records.jsonl"].split(b"\n")[1:] if line]


def spoil(change: Callable[[dict[str, Any], dict[str, Any]], None], folder: Path) -> Source:
    """A native export with something changed in its header or its first record."""
    lines = unpacked(export(rich_text_project(), "native"))["records.jsonl"].split(b"\n")
    header, record = json.loads(lines[0]), json.loads(lines[1])
    change(header, record)
    lines[:2] = [json.dumps(each).encode() for each in (header, record)]
    path = folder / "records.jsonl"
    path.write_bytes(b"\n".join(lines))
    return Source(path, path.name)


SPOILT: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "version": lambda h, r: h.update(annotator_export=99),
    "no schemas": lambda h, r: h.pop("schemas"),
    "a class twice": lambda h, r: h["schemas"][0]["classes"].append(h["schemas"][0]["classes"][0]),
    "colour": lambda h, r: h["schemas"][0]["classes"][0].update(colour="javascript:"),
    "task": lambda h, r: h["project"].update(task="everything"),
    "modality": lambda h, r: h["project"].update(modality="image"),
    "NUL": lambda h, r: r.update(text="a\0b"),
    "empty text": lambda h, r: r.update(text=" "),
    "row": lambda h, r: r.update(row=-1),
    "row text": lambda h, r: r.update(row="1; drop"),
    "row twice": lambda h, r: r.update(row=1),
    "split": lambda h, r: r.update(split="mine"),
    "meta": lambda h, r: r.update(meta=[1]),
    "long id": lambda h, r: r.update(external_id="x" * 501),
    "state": lambda h, r: r["votes"][0].update(state="approved"),
    "class": lambda h, r: r["votes"][0].update(regions=[{"kind": "choice", "classes": ["wolf"]}]),
    "region": lambda h, r: r["votes"][0].update(regions=[{"kind": "script", "classes": []}]),
    "person": lambda h, r: r["votes"][0].update(annotator="Ann Other <ann@example.org>"),
    "schema version": lambda h, r: r["votes"][0].update(schema_version=9),
    "served": lambda h, r: r["votes"][0].update(served="x"),
    "two current": lambda h, r: r["votes"].append({**r["votes"][0], "revision": 7}),
    "date": lambda h, r: r.update(created_at="yesterday"),
    "unknown field": lambda h, r: r.update(extra=1),
}


@pytest.mark.parametrize("name", sorted(SPOILT))
def test_what_is_no_true_export_is_refused_in_words_and_nothing_comes_in(name: str, tmp_path: Path) -> None:
    source = spoil(SPOILT[name], tmp_path)
    project = make_project()
    with pytest.raises(RestoreFailed) as refused:
        list(restore(project=project, source=source))
    assert refused.value.message
    assert can_restore(project)
    assert not project.items.exists()


def test_an_image_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    made = export(rich_image_project(), "native")
    path = tmp_path / "spoilt.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in unpacked(made).items():
            archive.writestr(name, data[:-1] + b"!" if name.startswith("assets/") else data)
    project = make_project(modality="image")
    with pytest.raises(RestoreFailed, match="damaged"):
        list(restore(project=project, source=Source(path, path.name)))
    assert not Asset.objects.filter(project=project).exists()


plain_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda value: bool(value.strip()))
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64) | st.integers(-(10**12), 10**12)
values = st.recursive(
    st.none() | st.booleans() | numbers | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(plain_text, values, max_size=4)


class AnyProject(TestCase):
    """Projects that hypothesis makes: whatever JSON, texts and orders of answers there are, the records come back."""

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_records_survive(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(["single", "multi"]))
        project = make_project(task=task, classes=("cat", "dog", "emu"))
        people = [join(project) for _ in range(data.draw(st.integers(1, 3)))]
        for item in text_items(project, tuple(data.draw(st.lists(plain_text, min_size=1, max_size=6)))):
            Item.objects.filter(pk=item.pk).update(meta=data.draw(objects))
            for person in data.draw(st.lists(st.sampled_from(people), max_size=4)):
                keys = st.sampled_from(["cat", "dog", "emu"])
                chosen = [data.draw(keys)] if task == "single" else data.draw(st.lists(keys, unique=True))
                answer(
                    item,
                    person,
                    *chosen,
                    state=data.draw(st.sampled_from(Annotation.State.values)),
                    seconds=data.draw(st.none() | st.floats(0, 86_400)),
                    served=data.draw(objects),
                    suggestion=data.draw(st.none() | objects),
                )
            if data.draw(st.booleans()):
                scores = data.draw(st.dictionaries(plain_text, st.floats(0, 1), max_size=3))
                add_predictions(project_id=project.pk, source=data.draw(plain_text), rows=[(item.pk, scores)])
        again = restored(project)
        assert export(again, "native").digest == export(project, "native").digest
