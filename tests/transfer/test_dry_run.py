from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from annotator.common.errors import Conflict
from annotator.items.models import Asset, ImportedLabel, Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.labeling.models import QueueEntry
from annotator.projects.models import Project, Role
from annotator.transfer import dry_run, reading, services
from annotator.transfer.formats import Options
from annotator.transfer.models import Import
from tests.factories import join, make_project
from tests.modalities.images import image_bytes
from tests.transfer.makers import receive, run, start, upload, zip_bytes
from tests.transfer.projects import export, rich_image_project, rich_text_project, unpacked

pytestmark = pytest.mark.django_db
TABLE = "id,text,label,split\n1,one,cat,train\n2,two,unicorn,test\n3,,cat,\n1,other,,\n9,new,,\n"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def images() -> Project:
    return make_project(modality="image")


def check(record: Import, **changes: Any) -> dict[str, Any]:
    """Check with what is guessed but for the changes; by a job where that is how it is done."""
    options = Options.from_json(services.look(record).options.to_json() | changes)
    job = dry_run.begin(record=record, options=options, user=record.created_by)
    if job:
        run_job(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.SUCCEEDED, job.error
    record.refresh_from_db()
    return record.report


def listed(record: Import) -> list[tuple[str, str, str]]:
    with record.check_path.open(newline="") as file:
        return [(row["file"], row["line"], row["reason"]) for row in csv.DictReader(file)]


def test_a_check_tells_what_would_come_in_and_adds_nothing(project: Project) -> None:
    run(project, upload("before.csv", "id,text\n9,old\n"))
    record = receive(project, upload("a.csv", TABLE))
    report = check(record)
    assert Item.objects.count() == 1
    assert not ImportedLabel.objects.exists()
    assert not QueueEntry.objects.exclude(item__external_id="9").exists()
    told = ("rows", "created", "known", "rejected", "conflicts", "labelled", "listed")
    assert [report[name] for name in told] == [5, 2, 0, 3, 2, 2, 3]
    assert report["unknown_labels"] == {"unicorn": 1}
    assert report["splits"] == {"pool": 1, "test": 1}
    assert listed(record) == [
        ("a.csv", "4", "The text is empty."),
        ("a.csv", "5", services.TAKEN),
        ("a.csv", "6", services.TAKEN),
    ]
    shown = [(each["external_id"], each["text"], each["outcome"]) for each in report["preview"]]
    assert shown == [
        ("1", "one", "created"),
        ("2", "two", "created"),
        ("1", "other", "changed"),
        ("9", "new", "changed"),
    ]


@pytest.mark.parametrize("conflict", ["keep", "new"])
def test_the_import_does_what_the_check_foretold(project: Project, conflict: str) -> None:
    run(project, upload("before.csv", "id,text\n9,old\n"))
    record = receive(project, upload("a.csv", TABLE))
    report = check(record, conflict=conflict)
    run_job(start(record, conflict=conflict).pk)
    record.refresh_from_db()
    same = ("rows", "created", "known", "rejected", "conflicts", "labelled", "listed", "splits")
    assert {name: record.counts[name] for name in same} == {name: report[name] for name in same}
    assert record.counts["created"] == (4 if conflict == "new" else 2)


@pytest.mark.parametrize("conflict", ["keep", "new"])
def test_running_it_again_adds_nothing(project: Project, conflict: str) -> None:
    for _ in range(2):
        record, _ = run(project, upload("a.csv", TABLE), conflict=conflict)
    assert record.counts["created"] == 0
    assert Item.objects.count() == (4 if conflict == "new" else 3)
    assert check(receive(project, upload("a.csv", TABLE)), conflict=conflict)["created"] == 0


def test_rows_that_went_in_under_another_id_are_listed_with_it(project: Project) -> None:
    record, _ = run(project, upload("a.csv", "id,text\n1,a\n1,b\n"), conflict="new")
    assert list(Item.objects.order_by("row").values_list("external_id", flat=True)) == ["1", "1#2"]
    assert (record.counts["rejected"], record.counts["conflicts"], record.counts["listed"]) == (0, 1, 1)
    assert "“1#2”" in record.errors_path.read_text()


def test_conflicts_over_several_batches_are_seen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 2)
    rows = "id,text\n1,a\n2,b\n1,c\n2,b\n3,\n3,d\n"
    report = check(receive(project, upload("a.csv", rows)))
    assert [report[name] for name in ("created", "known", "conflicts", "rejected")] == [3, 1, 1, 2]


def test_small_tables_are_checked_at_once_and_others_by_a_job(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = receive(project, upload("a.csv", TABLE))
    options = services.look(record).options
    assert dry_run.begin(record=record, options=options, user=None) is None
    assert record.report["rows"] == 5
    monkeypatch.setattr(dry_run, "AT_ONCE_ROWS", 4)
    job = dry_run.begin(record=record, options=options, user=None)
    assert job
    assert record.report == {}
    run_job(job.pk)
    record.refresh_from_db()
    assert record.report["rows"] == 5


def test_a_check_of_another_mapping_ends_the_one_that_runs(project: Project) -> None:
    record = receive(project, upload("a.csv", TABLE))
    options = services.look(record).options
    first = dry_run.start(record=record, options=options, user=None)
    second = dry_run.start(record=record, options=options, user=None)
    first.refresh_from_db()
    assert first.state == Job.State.CANCELLED
    record.refresh_from_db()
    assert record.dry_job == second


def test_a_check_after_the_import_was_started_is_refused(project: Project) -> None:
    record = receive(project, upload("a.csv", TABLE))
    start(record)
    record.refresh_from_db()
    with pytest.raises(Conflict, match="started already"):
        check(record)


def test_images_are_decoded_but_not_kept(images: Project) -> None:
    good = image_bytes((300, 200))
    archive = zip_bytes({
        "cat/1.png": good, "cat/1.jpg": image_bytes(kind="JPEG"), "cat/broken.png": good[:50],
        "dog/A.png": image_bytes((2, 2)), "dog/a.png": image_bytes((3, 3)),
    })  # fmt: skip
    record = receive(images, upload("set.zip", archive))
    report = check(record)
    assert not Asset.objects.exists()
    assert not Item.objects.exists()
    assert [report[name] for name in ("rows", "created", "rejected", "alike", "labelled")] == [5, 4, 1, 2, 4]
    reasons = {line: reason for _, line, reason in listed(record)}
    assert "“cat/1.png”" in reasons["2"]
    assert "damaged" in reasons["3"]
    assert "“dog/A.png”" in reasons["5"]
    first = report["preview"][0]
    assert (first["width"], first["height"], first["labels"], first["picture"]) == (300, 200, ["cat"], 0)
    assert record.picture_path(0).read_bytes()[8:12] == b"WEBP"
    folder = record.folder.parents[1]
    assert not (folder.parent / "thumbnails" / str(images.pk)).exists()


def test_one_name_in_two_unicode_forms_is_told_and_never_merged_in_silence(images: Project) -> None:
    composed, decomposed = "\u00fc.png", "u\u0308.png"
    archive = zip_bytes({composed: image_bytes(), decomposed: image_bytes()})
    record = receive(images, upload("set.zip", archive))
    report = check(record)
    assert (report["known"], report["alike"]) == (1, 1)
    assert "Written otherwise" in listed(record)[0][2]


def test_pictures_of_the_preview_go_with_the_files(images: Project) -> None:
    record = receive(images, upload("a.png", image_bytes()))
    check(record)
    assert record.picture_path(0).exists()
    run_job(start(record).pk)
    assert not record.picture_path(0).exists()


# Native exports


def records_of(project: Project) -> bytes:
    return unpacked(export(project, "native"))["records.jsonl"]


def test_of_an_export_into_an_empty_project_it_is_said_that_all_of_it_comes_back(
    project: Project, manager: Client
) -> None:
    other = rich_text_project()
    record = receive(project, upload("records.jsonl", records_of(other)))
    report = check(record)
    assert (report["restored"], report["rows"], report["created"], report["rejected"]) == (True, 12, 12, 0)
    assert report["preview"][0]["text"] == "plain"
    assert list(project.schema.classes.values_list("key", flat=True)) == ["cat", "dog"]
    page = manager.get(reverse("transfer:mapping", args=[project.pk, record.pk])).content.decode()
    assert "The whole project comes back" in page
    run_job(start(record).pk)
    record.refresh_from_db()
    assert record.counts["created"] == report["created"] == project.items.count()
    assert record.counts["restored"] is True


def test_an_export_that_cannot_be_restored_is_told_before_the_import(
    project: Project, manager: Client
) -> None:
    lines = records_of(rich_text_project()).splitlines(keepends=True)
    lines[5] = lines[5].replace(b'"text":"', b'"text":"not ', 1)
    record = receive(project, upload("records.jsonl", b"".join(lines)))
    report = check(record)
    assert (report["created"], report["rejected"], report["preview"]) == (0, 5, [])
    assert [(line, "content hash" in reason) for _, line, reason in listed(record)] == [("6", True)]
    page = manager.get(reverse("transfer:mapping", args=[project.pk, record.pk])).content.decode()
    assert "This export cannot be restored" in page
    job = start(record)
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, project.items.count()) == ("failed", 0)


def test_an_id_that_is_there_twice_keeps_an_export_out(project: Project) -> None:
    lines = records_of(rich_text_project()).replace(b'"external_id":"id-3"', b'"external_id":"id-2"')
    report = check(receive(project, upload("records.jsonl", lines)))
    assert (report["created"], report["rejected"], report["listed"]) == (0, 4, 1)


def test_images_of_an_export_are_looked_at(images: Project) -> None:
    whole = unpacked(export(rich_image_project(), "native"))
    assert check(receive(images, upload("a.zip", zip_bytes(whole))))["rejected"] == 0
    broken = {name: data[:-1] if name.startswith("assets/") else data for name, data in whole.items()}
    assert check(receive(images, upload("a.zip", zip_bytes(broken))))["rejected"] == 1
    assert not Asset.objects.filter(project=images).exists()


def test_into_a_project_with_items_an_export_is_checked_row_by_row(project: Project) -> None:
    run(project, upload("before.csv", "text\nhere before\n"))
    report = check(receive(project, upload("records.jsonl", records_of(rich_text_project()))))
    assert (report["restored"], report["created"]) == (False, 12)


# Pages


@pytest.fixture
def manager(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.MANAGER))
    return client


def test_an_upload_shows_its_check_beside_the_mapping(project: Project, manager: Client) -> None:
    answer = manager.post(
        reverse("transfer:import", args=[project.pk]), {"uploads": [upload("a.csv", TABLE)]}, follow=True
    )
    page = answer.content.decode()
    assert answer.context["counts"].created == 3
    assert "The text is empty." in page
    assert "unicorn" in page
    assert "Check again" in page
    assert not Item.objects.exists()


def test_another_mapping_is_checked_by_one_button(project: Project, manager: Client) -> None:
    record = receive(project, upload("a.csv", TABLE))
    url = reverse("transfer:mapping", args=[project.pk, record.pk])
    data = {"delimiter": ",", "encoding": "utf-8", "header": "yes", "conflict": "new"}
    answer = manager.post(url, data | {"text": "label", "action": "check"}, follow=True)
    assert [each["text"] for each in answer.context["preview"]] == ["cat", "unicorn", "cat"]
    assert answer.context["form"]["text"].value() == "label"
    assert answer.context["form"]["conflict"].value() == "new"
    errors = manager.get(reverse("transfer:check_errors", args=[project.pk, record.pk]))
    assert errors.headers["Content-Disposition"].endswith('check.csv"')


def test_a_check_that_runs_keeps_itself_current(
    project: Project, manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "AT_ONCE_BYTES", 0)
    record = receive(project, upload("a.csv", TABLE))
    job = dry_run.begin(record=record, options=services.look(record).options, user=None)
    assert job
    url = reverse("transfer:check", args=[project.pk, record.pk])
    assert f"live:job:{job.pk}" in manager.get(url).content.decode()
    run_job(job.pk)
    done = manager.get(url).content.decode()
    assert "live:job" not in done
    assert "Rows to look at" in done


def test_pictures_of_the_preview_are_for_managers_of_the_project(images: Project, client: Client) -> None:
    record = receive(images, upload("a.png", image_bytes()))
    check(record)
    url = reverse("transfer:picture", args=[images.pk, record.pk])
    client.force_login(join(images, Role.MANAGER))
    assert client.get(url + "?number=0").headers["Content-Type"] == "image/webp"
    for number in ("1", "10", "-1", "x", "٣", "9" * 30):
        assert client.get(f"{url}?number={number}").status_code == 404


# API


def test_a_program_checks_first_and_then_starts(project: Project) -> None:
    api = APIClient()
    api.force_authenticate(join(project, Role.MANAGER))
    root = f"/api/v1/projects/{project.pk}/imports/"
    sent = {"files": [upload("a.csv", TABLE)], "dry_run": "true", "options": '{"conflict": "new"}'}
    answer = api.post(root, sent, format="multipart")
    assert (answer.status_code, answer.json()["dry_run"]) == (202, True)
    job = answer.json()["job"]["id"]
    assert api.post(f"{root}{job}/start/").json()["code"] == "dry_run_active"
    run_job(job)
    report = api.get(f"{root}{job}/").json()
    assert [report[name] for name in ("rows", "created", "rejected", "conflicts")] == [5, 4, 1, 1]
    assert len(report["preview"]) == 4
    assert b"The text is empty." in api.get(f"{root}{job}/errors.csv").content
    assert not Item.objects.exists()

    started = api.post(f"{root}{job}/start/")
    assert (started.status_code, started.json()["dry_run"]) == (202, False)
    run_job(started.json()["job"]["id"])
    assert Item.objects.count() == 4
    assert api.post(f"{root}{job}/start/").json()["code"] == "import_started"
    assert api.get(f"{root}{job}/").json()["dry_run"] is True


def test_an_unknown_policy_is_refused(project: Project) -> None:
    api = APIClient()
    api.force_authenticate(join(project, Role.MANAGER))
    sent = {"files": [upload("a.csv", TABLE)], "options": '{"conflict": "overwrite"}'}
    assert api.post(f"/api/v1/projects/{project.pk}/imports/", sent, format="multipart").status_code == 400


def test_a_small_file_that_unpacks_to_much_is_checked_by_a_job(project: Project) -> None:
    packed = io.BytesIO()
    pq.write_table(pa.table({"text": ["y" * 10**6] * 40}), packed)
    assert packed.tell() < 2**20
    record = receive(project, upload("a.parquet", packed.getvalue()))
    options = services.look(record).options
    assert dry_run.begin(record=record, options=options, user=None) is not None
