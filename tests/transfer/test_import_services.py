from __future__ import annotations

import csv
import errno
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotator.common.errors import Conflict, Invalid
from annotator.items.matching import Match
from annotator.items.models import Asset, ImportedLabel, ImportedPrediction, Item
from annotator.jobs import services as jobs
from annotator.jobs.models import Job
from annotator.labeling.models import Annotation, QueueEntry
from annotator.projects.models import Project
from annotator.transfer import reading, services
from annotator.transfer.formats import Row
from annotator.transfer.models import Import
from tests.factories import make_project
from tests.modalities.images import image_bytes, png_claiming
from tests.transfer.makers import receive, run, start, upload, zip_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def images() -> Project:
    return make_project(modality="image")


def errors_of(record: Import) -> list[tuple[str, str]]:
    with record.errors_path.open(newline="") as file:
        return [(row["line"], row["reason"]) for row in csv.DictReader(file)]


def texts(project: Project) -> list[str | None]:
    return list(Item.objects.filter(project=project).order_by("row").values_list("text", flat=True))


TABLE = "id,text,label,split\n1,one,cat,train\n2,two,Dog,test\n3,three,mouse,\n"


def test_a_table_becomes_items_with_labels_kept_apart(project: Project) -> None:
    record, job = run(project, upload("a.csv", TABLE))
    assert job.state == Job.State.SUCCEEDED, job.error
    assert texts(project) == ["one", "two", "three"]
    assert list(Item.objects.order_by("row").values_list("split", flat=True)) == ["pool", "test", "pool"]
    assert [x.classes for x in ImportedLabel.objects.order_by("item__row")] == [["cat"], ["Dog"], ["mouse"]]
    assert not Annotation.objects.exists()
    assert record.counts["unknown_labels"] == {"mouse": 1}
    assert (record.counts["rows"], record.counts["created"], record.counts["labelled"]) == (3, 3, 3)


def test_there_is_something_to_label_at_once_and_the_features_follow(project: Project) -> None:
    run(project, upload("a.csv", TABLE))
    assert QueueEntry.objects.filter(project=project).count() == 2
    assert Job.objects.filter(project=project).exclude(kind="import").exists()


def test_importing_twice_adds_nothing(project: Project) -> None:
    run(project, upload("a.csv", TABLE))
    record, _ = run(project, upload("a.csv", TABLE))
    assert Item.objects.count() == 3
    assert (record.counts["created"], record.counts["known"], record.counts["rejected"]) == (0, 3, 0)
    project.refresh_from_db()
    assert project.next_row == 3


def test_no_row_is_lost_in_silence(project: Project) -> None:
    run(project, upload("before.csv", "id,text\n9,old\n"))
    rows = [
        "1,fine,",
        "2,,",
        "3,bad split,nowhere",
        "9,new content,",
        "4,too,many,fields",
        "1,fine,",
        ",no id,",
        "5,nul\0,",
    ]
    record, job = run(project, upload("a.csv", "id,text,split\n" + "\n".join(rows) + "\n"))
    counts = record.counts
    assert job.state == Job.State.SUCCEEDED
    assert (counts["rows"], counts["created"], counts["known"], counts["rejected"]) == (8, 1, 1, 6)
    assert errors_of(record) == [
        ("3", "The text is empty."),
        ("4", "“nowhere” is no split: use pool or test."),
        ("5", services.TAKEN),
        ("6", "4 fields instead of 3: a delimiter or a quotation mark is missing or too many."),
        ("8", "“id” is empty."),
        ("9", "The text contains a NUL character, as binary files do."),
    ]
    assert texts(project) == ["old", "fine"]


def test_bytes_that_are_not_in_the_encoding_are_error_rows(project: Project) -> None:
    content = b"id,text\n" + b"".join(b"%d,%s\n" % (n, b"long " * 100) for n in range(600)) + b"x,M\xfcll\n"
    record, _ = run(project, upload("a.csv", content))
    assert record.counts["created"] == 600
    assert errors_of(record) == [("602", "The text contains bytes that are not in the file's encoding.")]


def test_errors_never_become_formulas(project: Project) -> None:
    record, _ = run(project, upload("a.csv", 'id,text\n"=HYPERLINK(""x"")",\n'))
    assert "'=HYPERLINK" in record.errors_path.read_text()


def test_what_postgresql_cannot_keep_in_metadata_is_an_error_row(project: Project) -> None:
    lines = [
        '{"text": "a", "x": "\\u0000"}',
        '{"text": "b", "x": {"y": ["\\ud800"]}}',
        '{"text": "c", "x": 1e400}',
        '{"text": "d", "x": {"y": 1}}',
    ]
    record, _ = run(project, upload("a.jsonl", "\n".join(lines)), keep_rest=True)
    assert texts(project) == ["d"]
    assert Item.objects.get().meta == {"x": {"y": 1}}
    assert record.counts["rejected"] == 3


def test_several_files_are_one_import_and_a_broken_one_is_one_error(project: Project) -> None:
    files = [upload("a.txt", "one\ntwo\n"), upload("b.txt", b"\xff\xfe\x00"), upload("c.txt", "two\nthree\n")]
    record, _ = run(project, *files)
    assert texts(project)[:2] == ["one", "two"]
    assert "three" in texts(project)
    assert record.counts["known"] == 1
    assert record.title == "3 files"


def test_several_labels_in_a_cell_are_split_as_told() -> None:
    project = make_project(task="multi")
    run(project, upload("a.csv", "id,text,label\n1,one,cat; dog;cat\n"), label_separator=";")
    assert ImportedLabel.objects.get().classes == ["cat", "dog"]


# Images


def test_an_archive_with_a_folder_per_class(images: Project) -> None:
    good, sideways = image_bytes(), image_bytes(kind="JPEG", exif=6)
    archive = zip_bytes(
        {
            "set/cat/1.png": good,
            "set/dog/1.jpg": sideways,
            "set/dog/broken.png": good[:40],
            "set/dog/notes.txt": b"hello",
            "set/dog/huge.png": png_claiming(60_000, 60_000),
            "../evil.png": good,
            "set/dog/named-wrongly.jpg": image_bytes(colour=(1, 2, 3)),
        }
    )
    record, job = run(images, upload("set.zip", archive))
    assert job.state == Job.State.SUCCEEDED, job.error
    items = Item.objects.order_by("row").values_list(
        "external_id", "imported_label__classes", "asset__media_type"
    )
    assert list(items) == [
        ("set/cat/1.png", ["cat"], "image/png"),
        ("set/dog/1.jpg", ["dog"], "image/jpeg"),
        ("set/dog/named-wrongly.jpg", ["dog"], "image/png"),
    ]
    assert Asset.objects.get(media_type="image/jpeg").width == 4
    assert record.counts["rejected"] == 4


def test_loose_images(images: Project) -> None:
    record, _ = run(
        images, upload("a.png", image_bytes()), upload("b.png", image_bytes()), upload("c.png", b"x")
    )
    assert list(Item.objects.order_by("row").values_list("external_id", flat=True)) == ["a.png", "b.png"]
    assert Asset.objects.count() == 1
    assert record.counts["rejected"] == 1


# Receiving and starting


def test_uploads_lie_under_names_of_our_own(project: Project) -> None:
    record = receive(project, upload("../../etc/pass\u202ewd.csv", TABLE))
    assert record.files[0]["name"] == "passwd.csv"
    assert record.files[0]["stored"] == "file00000"
    assert record.has_files


@pytest.mark.parametrize(("name", "code"), [("a.png", "wrong_format"), ("a.exe", "wrong_format")])
def test_files_that_do_not_fit_are_refused_and_not_kept(project: Project, name: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        receive(project, upload(name, "x"))
    assert caught.value.code == code
    assert not Import.objects.exists()


def test_a_file_that_cannot_be_read_says_why(project: Project) -> None:
    with pytest.raises(Invalid, match="binary"):
        services.look(receive(project, upload("a.csv", b"\0\1" * 500)))


def test_a_start_needs_a_text_column_that_exists(project: Project) -> None:
    record = receive(project, upload("a.csv", TABLE))
    for text, code in (("", "no_text_column"), ("body", "no_such_column")):
        with pytest.raises(Invalid) as caught:
            start(record, text=text)
        assert caught.value.code == code


def test_an_import_starts_once(project: Project) -> None:
    record = receive(project, upload("a.csv", TABLE))
    start(record)
    with pytest.raises(Conflict, match="already"):
        start(record)


def test_an_archived_project_takes_nothing(project: Project) -> None:
    project.archived_at = timezone.now()
    with pytest.raises(Conflict, match="archived"):
        receive(project, upload("a.csv", TABLE))


def test_uploaded_files_go_after_success_and_errors_stay(project: Project) -> None:
    record, _ = run(project, upload("a.csv", TABLE + "4,,\n"))
    assert not record.has_files
    assert record.errors_path.exists()


def test_uploads_nobody_mapped_go_after_a_day(project: Project) -> None:
    old, fresh = receive(project, upload("a.csv", TABLE)), receive(project, upload("a.csv", TABLE))
    Import.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    services.remove_old_files()
    assert list(Import.objects.all()) == [fresh]
    assert not old.folder.exists()


# Cancel, crash, again


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 10)
    monkeypatch.setattr(jobs, "PROGRESS_EVERY", 0.0)


MANY = "id,text\n" + "".join(f"{n},{'' if n % 10 == 3 else f'text {n}'}\n" for n in range(100))


def after_batches(monkeypatch: pytest.MonkeyPatch, count: int, act: Any) -> None:
    """Do `act` when that many batches have been added."""
    original, seen = services.place_items, []

    def counting(**values: Any) -> list[Match]:
        seen.append(1)
        if len(seen) == count + 1:
            act()
        return original(**values)

    monkeypatch.setattr(services, "place_items", counting)


@pytest.mark.usefixtures("small_batches")
def test_a_cancelled_import_stops_and_keeps_what_came_in(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = receive(project, upload("a.csv", MANY))
    job = start(record)
    after_batches(monkeypatch, 3, lambda: Job.objects.filter(pk=job.pk).update(cancel_requested=True))
    jobs.run_job(job.pk)
    job.refresh_from_db()
    record.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert record.counts["rows"] == 40
    assert Item.objects.count() == 36
    assert QueueEntry.objects.exists()
    assert record.has_files


@pytest.mark.usefixtures("small_batches")
def test_after_a_cancel_the_import_can_be_started_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_a_cancelled_import_stops_and_keeps_what_came_in(project, monkeypatch)
    record = Import.objects.get()
    jobs.run_job(start(record).pk)
    record.refresh_from_db()
    assert (record.counts["created"], record.counts["known"], record.counts["rejected"]) == (54, 36, 10)


class WorkerKilled(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@pytest.mark.usefixtures("small_batches")
def test_a_crashed_import_goes_on_where_it_was(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    record = receive(project, upload("a.csv", MANY))
    job = start(record)

    def die() -> None:
        # What the batch had already written of errors is more than was committed.
        with record.errors_path.open("a") as file:
            file.write("half a li")
        raise WorkerKilled

    with monkeypatch.context() as patch:
        after_batches(patch, 5, die)
        with pytest.raises(WorkerKilled):
            jobs.run_job(job.pk)
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
    jobs.run_job(job.pk)
    record.refresh_from_db()
    counts = record.counts
    assert (counts["rows"], counts["created"], counts["known"], counts["rejected"]) == (100, 90, 0, 10)
    assert [line for line, _ in errors_of(record)] == [str(n + 2) for n in range(3, 100, 10)]
    assert sorted(Item.objects.values_list("row", flat=True)) == list(range(90))


def test_progress_estimates_the_number_of_rows(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 500)
    seen: list[tuple[int, int | None]] = []
    monkeypatch.setattr(
        jobs.JobRun, "progress", lambda self, done, total=None, **_: seen.append((done, total))
    )
    run(project, upload("a.txt", "".join(f"this is text {n:06}{'.' * 500}\n" for n in range(2_000))))
    assert [done for done, _ in seen] == [0, 500, 1_000, 1_500, 2_000, 2_000]
    assert all(abs((total or 0) - 2_000) < 600 for _, total in seen[1:])


# Rows without files


@pytest.mark.parametrize(("conflict", "expected"), [("keep", {}), ("new", {"1#2": 0.7})])
def test_predictions_follow_a_row_to_the_id_it_gets(
    project: Project, conflict: str, expected: dict[str, float]
) -> None:
    run(project, upload("before.csv", "id,text\n1,before\n"))
    task = {
        "data": {"text": "after", "external_id": "1"},
        "predictions": [{"model_version": "m", "classes": {"cat": 0.7}}],
    }
    for _ in range(2):
        run(project, upload("tasks.json", json.dumps([task])), conflict=conflict)
    kept = ImportedPrediction.objects.values_list("item__external_id", "classes__cat")
    assert dict(kept) == expected


def test_rows_are_added_at_once(project: Project) -> None:
    rows = [
        Row(line=0, text="a", external_id="1", labels=("cat",)),
        Row(line=1, text=""),
        Row(line=2, text="b", external_id="1"),
    ]
    counts, errors = services.add_rows(project=project, rows=rows, source="test")
    assert (counts.rows, counts.created, counts.rejected) == (3, 1, 2)
    assert [(error.line, error.reason) for error in errors] == [
        (1, "The text is empty."),
        (2, services.TAKEN),
    ]
    assert ImportedLabel.objects.get().source == "test"


def test_a_disk_that_fills_during_an_import_is_said_and_the_import_goes_on_later(
    images: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    record = receive(images, upload("1.png", image_bytes()))
    with monkeypatch.context() as patch:
        patch.setattr("annotator.items.files.store", fill)
        job = start(record)
        jobs.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, "disk of the server is full" in job.error) == (Job.State.FAILED, True)
    record.refresh_from_db()
    again = start(record)
    jobs.run_job(again.pk)
    assert Item.objects.count() == 1
