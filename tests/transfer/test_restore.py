"""A native export comes back as it was, or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from annotator.accounts.models import User
from annotator.items.models import Asset, ImportedLabel, ImportedPrediction, Item
from annotator.items.services import add_predictions
from annotator.jobs.models import Job
from annotator.jobs.services import JobCancelled, cancel_job, run_job
from annotator.labeling.models import Annotation, Skip
from annotator.learning.models import LearningSettings
from annotator.projects.models import Project
from annotator.projects.schema import FIELDS
from annotator.quality.consensus import consensus
from annotator.quality.models import Decision, GoldItem
from annotator.quality.services import add_gold, decide, settings_of, update_settings
from annotator.transfer import restore as module
from annotator.transfer import services
from annotator.transfer.formats import Source
from annotator.transfer.models import RestoredPerson
from annotator.transfer.restore import Restored, can_restore, restore
from annotator.transfer.restored_records import RestoreFailed
from tests.factories import join, make_project
from tests.hostile.pushing import assert_words
from tests.transfer.makers import receive, run, start, upload
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


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_a_restore_that_ended_halfway_goes_on_when_it_is_started_again(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = rich_text_project()
    made = export(project, "native")
    fresh = make_project()
    record = receive(fresh, upload("records.zip", data_of(made).read_bytes()))
    job = start(record)
    with monkeypatch.context() as patched:
        patched.setattr(module, "BATCH", 4)
        patched.setattr(services, "restore", partial(ended_after_a_batch, job=job, ending=ending))
        run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, fresh.items.count()) == (ending, 4)
    record.refresh_from_db()
    again = start(record)
    run_job(again.pk)
    again.refresh_from_db()
    assert again.state == "succeeded", again.error
    assert export(Project.objects.get(pk=fresh.pk), "native").digest == made.digest


def ended_after_a_batch(*, job: Job, ending: str, **options: Any) -> Iterator[Restored]:
    """The restore, but that somebody cancels it or something breaks once the first batch is there."""
    coming = restore(**options)
    if ending == "cancelled":
        cancel_job(job=Job.objects.get(pk=job.pk))
    yield next(coming)
    coming.close()
    raise JobCancelled if ending == "cancelled" else RestoreFailed("The disk is gone.")


def test_a_restore_does_not_go_on_among_items_that_came_in_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    fresh = make_project()
    made = export(rich_text_project(), "native")
    source = Source(data_of(made), "x.zip")
    first = restore(project=fresh, source=source)
    next(first)
    first.close()
    text_items(fresh, ("something else",))
    with pytest.raises(RestoreFailed, match="Other items were added"):
        list(restore(project=fresh, source=source, resumed=True))
    assert fresh.items.count() == 5


def lines_of(made: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(made)["records.jsonl"].split(b"\n")[1:] if line]


def spoil(change: Callable[[dict[str, Any], dict[str, Any]], None], folder: Path, number: int = 1) -> Source:
    """A native export with something changed in its header or its `number`th record, counted from 1."""
    lines = unpacked(export(rich_text_project(), "native"))["records.jsonl"].split(b"\n")
    header, record = json.loads(lines[0]), json.loads(lines[number])
    change(header, record)
    lines[0], lines[number] = (json.dumps(each).encode() for each in (header, record))
    path = folder / "records.jsonl"
    path.write_bytes(b"\n".join(lines))
    return Source(path, path.name)


def prediction(**changes: Any) -> dict[str, Any]:
    return {"source": "m", "classes": {"cat": 0.5}, "created_at": "2026-01-01T00:00:00+00:00"} | changes


def skip(**changes: Any) -> dict[str, Any]:
    told = {"annotator": "somebody", "policy": "others", "reason": "", "served": {}, "withdrawn": False}
    return told | {"created_at": "2026-01-01T00:00:00+00:00"} | changes


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
    "other text": lambda h, r: r.update(text="not what was hashed"),
    "no hash": lambda h, r: r.update(content_hash="0" * 64),
    "row is true": lambda h, r: r.update(row=True),
    "name of a score": lambda h, r: r.update(predictions=[prediction(classes={"cat": "much"})]),
    "endless score": lambda h, r: r.update(predictions=[prediction(classes={"cat": float("inf")})]),
    "long score": lambda h, r: r.update(predictions=[prediction(classes={"cat": 10**400})]),
    "model": lambda h, r: r.update(predictions=[prediction(source=5)]),
    "current": lambda h, r: r["votes"][0].update(current="yes"),
    "revision": lambda h, r: r["votes"][0].update(revision="1; drop"),
    "seconds": lambda h, r: r["votes"][0].update(seconds="NaN"),
    "person is a list": lambda h, r: r["votes"][0].update(annotator=["a"]),
    "person of a skip": lambda h, r: r.update(skips=[skip(annotator=7)]),
    "reason": lambda h, r: r.update(skips=[skip(reason=["x"])]),
    "withdrawn": lambda h, r: r.update(skips=[skip(withdrawn="yes")]),
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


OF_A_RECORD = sorted(
    name
    for name in SPOILT
    if name
    not in {"version", "no schemas", "a class twice", "colour", "task", "modality", "row", "row twice"}
)


@pytest.mark.parametrize("name", OF_A_RECORD)
def test_a_record_far_behind_is_checked_as_the_first_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches before it are in: the restore ends there, and says so."""
    monkeypatch.setattr(module, "BATCH", 2)
    source = spoil(SPOILT[name], tmp_path, number=3)
    project = make_project()
    with pytest.raises(RestoreFailed) as refused:
        list(restore(project=project, source=source))
    assert_words(refused.value.message)
    assert list(project.items.order_by("row").values_list("row", flat=True)) == [0, 1]


def test_rows_that_do_not_ascend_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    source = spoil(lambda h, r: r.update(row=1_000), tmp_path, number=2)
    project = make_project()
    with pytest.raises(RestoreFailed, match="not in order"):
        list(restore(project=project, source=source))


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
