"""Exports as jobs: what they hold, of which moment, and what becomes of them when something goes wrong."""

from __future__ import annotations

import errno
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import connection
from django.utils import timezone

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid
from annotator.jobs import services as jobs
from annotator.jobs.models import Job
from annotator.learning.services import settings_of
from annotator.projects.models import Project
from annotator.transfer import exports, records
from annotator.transfer.dataset import LiveDataset
from annotator.transfer.exports import create_export, delete_export
from annotator.transfer.models import Export
from annotator.transfer.output import HashedFile
from annotator.transfer.records import Records, pseudonym_of, pseudonyms
from annotator.transfer.selection import Filters, Selection
from tests.factories import join, make_items, make_project
from tests.transfer.projects import answer, data_of, export, rich_image_project, rich_text_project, unpacked

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return rich_text_project()


def lines(made: Export) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(made)["records.jsonl"].split(b"\n")[1:] if line]


def rows_of(project: Project, **filters: Any) -> list[int]:
    selection = Selection(filters=Filters.from_json(filters))
    return [entry.row for entry in LiveDataset(project, selection).entries()]


def test_names_of_people_leave_nowhere(project: Project) -> None:
    for person in project.memberships.all():
        type(person.user).objects.filter(pk=person.user_id).update(
            username=f"secretname{person.user_id}", first_name="Secretname", email="secretname@example.org"
        )
    for key in ("native", "labelstudio", "argilla", "csv"):
        assert not any(b"ecretname" in data for data in unpacked(export(project, key)).values())


def test_pseudonyms_are_the_same_each_time_and_others_in_other_projects(project: Project) -> None:
    assert pseudonyms(project) == pseudonyms(project)
    assert len(set(pseudonyms(project).values())) == 3
    secret = project.created_by.pseudonym_secret
    assert pseudonym_of(project.pk, secret) != pseudonym_of(project.pk + 1, secret)


def test_pseudonyms_come_from_secrets_of_the_people_and_outlive_the_servers(
    project: Project, settings: Any
) -> None:
    before = pseudonyms(project)
    settings.SECRET_KEY = "another"
    assert pseudonyms(project) == before
    User.objects.filter(pk__in=before).update(pseudonym_secret=RandomUUID())
    assert not set(before.values()) & set(pseudonyms(project).values())


def test_rows_that_an_import_is_still_writing_are_of_a_later_moment(project: Project) -> None:
    """Otherwise the second pass of an export with splits would meet rows that the first one did not see."""
    locked = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        locked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        Records(project)
    clock = next(n for n, sql in enumerate(locked) if "clock_timestamp" in sql)
    assert any("pg_advisory_xact_lock" in sql and "-1" in sql for sql in locked[:clock])


def test_everything_is_as_it_was_at_the_moment_of_the_export(project: Project) -> None:
    frozen = Records(project)
    before = [line.finish() for line in frozen.lines()]
    person = join(project)
    item = project.items.get(row=0)
    first = item.annotations.filter(current=True).first()
    assert first is not None
    answer(item, person, "cat")
    answer(item, first.annotator, "cat", at=timezone.now())
    make_items(project, 3)
    project.items.filter(row=1).update(archived_at=timezone.now())
    assert [line.finish() for line in frozen.lines()] == before
    assert [line.finish() for line in Records(project).lines()] != before


def test_small_batches_give_the_same_records(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [line.body for line in Records(project).lines()]
    assert [line.body for line in Records(project, batch=5).lines()] == whole
    monkeypatch.setattr(records, "BATCH_BYTES", 1)  # one long text after the other
    assert [line.body for line in Records(project).lines()] == whole


def test_merged_classes_count_as_their_heirs_and_ties_as_nothing(project: Project) -> None:
    found = {line["row"]: (line["consensus"], line["agreement"]) for line in lines(export(project, "native"))}
    assert found[0] == (["dog"], 0.666667)
    assert found[1] == (None, None)
    assert found[2] == (["dog"], 1.0)
    assert found[3] == (None, None)  # withdrawn


def test_filters_leave_what_they_say(project: Project) -> None:
    everything = rows_of(project)
    assert len(everything) == 12
    agreed = rows_of(project, confirmed_only=True)
    assert 1 not in agreed
    assert 0 in agreed
    assert 0 not in rows_of(project, minimum_agreement=0.9)
    assert rows_of(project, splits=["test"]) == [6]
    assert rows_of(project, splits=["pool", "test"]) == everything
    dogs = rows_of(project, classes=["dog"])
    assert 0 in dogs
    assert 5 not in dogs
    assert rows_of(project, since=(timezone.now() + timedelta(hours=1)).isoformat()) == []
    assert 10 not in rows_of(project, since="2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum_agreement": 2},
        {"minimum_agreement": "much"},
        {"splits": ["mine"]},
        {"since": "yesterday"},
        {"since": "2026-99-99T00:00:00Z"},
    ],
)
def test_filters_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Filters.from_json(wrong)


@pytest.mark.parametrize("key", ["zip", "imagefolder", "yaml", ""])
def test_formats_of_other_kinds_are_refused(project: Project, key: str) -> None:
    with pytest.raises(Invalid, match="no format"):
        create_export(project=project, format_key=key, user=None)


def test_a_full_disk_stops_it_in_words_and_leaves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    whole = HashedFile.write

    def full(self: HashedFile, data: bytes) -> int:
        nonlocal written
        written += len(data)
        if written > 300:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, data)

    monkeypatch.setattr(HashedFile, "write", full)
    for key in ("native", "csv", "huggingface", "labelstudio"):
        written = 0
        made = export(project, key)
        assert made.job is not None
        assert made.job.state == Job.State.FAILED
        assert "disk of the server is full" in made.job.error
        assert "Traceback" not in made.job.error
        assert made.files == []
        assert not any(path.is_file() for path in made.folder.rglob("*"))


def test_a_cancelled_export_leaves_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "EVERY", 2)
    monkeypatch.setattr(jobs, "PROGRESS_EVERY", 0.0)
    made = create_export(project=project, format_key="native", user=None)
    job = made.job
    assert job is not None
    progress = jobs.JobRun.progress

    def cancelled_meanwhile(self: jobs.JobRun, *args: Any, **options: Any) -> None:
        Job.objects.filter(pk=job.pk).update(cancel_requested=self.job.done > 3)
        progress(self, *args, **options)

    monkeypatch.setattr(jobs.JobRun, "progress", cancelled_meanwhile)
    jobs.run_job(job.pk)
    job.refresh_from_db()
    made.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert made.files == []
    assert not any(path.is_file() for path in made.folder.rglob("*"))


def test_a_run_after_a_crash_begins_anew_and_removes_the_rest(project: Project) -> None:
    made = create_export(project=project, format_key="native", user=None)
    job = made.job
    assert job is not None
    leftover = made.folder / "partial-1"
    leftover.mkdir(parents=True)
    (leftover / "part0000").write_bytes(b"half a rec")
    Job.objects.filter(pk=job.pk).update(attempts=1)
    jobs.run_job(job.pk)
    made.refresh_from_db()
    assert [path.name for path in made.folder.iterdir()] == ["files"]
    assert len(lines(made)) == 12


def test_a_missing_image_is_told_and_the_others_go_out() -> None:
    project = rich_image_project()
    from annotator.items.files import asset_path

    item = project.items.select_related("asset").get(row=0)
    assert item.asset is not None
    asset_path(project.pk, item.asset.digest).unlink()
    made = export(project, "zip")
    assert made.file is not None
    assert {
        "key": "missing_files",
        "count": 1,
        "words": "1 image is missing on the server and was left out.",
    } in (made.losses)
    assert sum(name.endswith(".png") for name in unpacked(made)) == 2


def test_an_empty_project_gives_an_empty_export_in_every_format() -> None:
    for key in ("native", "csv", "huggingface", "labelstudio", "doccano", "fasttext", "argilla"):
        made = export(make_project(), key)
        assert made.job is not None
        assert made.job.state == "succeeded", made.job.error
        assert made.manifest["counts"]["items"] == 0


def test_deleting_removes_the_files_but_not_while_they_are_written(
    project: Project, django_capture_on_commit_callbacks: Any
) -> None:
    made = export(project, "csv")
    path = data_of(made)
    with django_capture_on_commit_callbacks(execute=True):
        delete_export(export=made)
    assert not path.exists()
    assert not Export.objects.exists()
    waiting = create_export(project=project, format_key="csv", user=None)
    with pytest.raises(Conflict):
        delete_export(export=waiting)


def test_a_native_archive_carries_its_data_card(project: Project) -> None:
    files = unpacked(export(project, "native"))
    card = files["README.md"].decode()
    manifest = json.loads(files["manifest.json"])
    assert manifest["digest"] in card
    assert "| Items | 8, text |".replace("8", str(manifest["counts"]["records"])) in card
    assert f"the strategy `{settings_of(project).strategy}`" in card
    assert all(f"`{each['key']}`" in card for each in manifest["classes"])
