"""The export pages and their API, as people and programs meet them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer import exports
from annotator.transfer.models import Export, Snapshot
from tests.factories import join, make_project
from tests.transfer.projects import data_of, export, freeze, rich_image_project, rich_text_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return rich_text_project()


@pytest.fixture
def manager(client: Client, project: Project) -> Client:
    client.force_login(project.created_by)
    return client


def url(name: str, project: Project, *others: int) -> str:
    return reverse(name, args=[project.pk, *others])


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def test_nothing_to_export_is_said(client: Client) -> None:
    empty = make_project()
    client.force_login(empty.created_by)
    page = client.get(url("transfer:exports", empty)).content.decode()
    assert "There is nothing to export yet" in page
    assert "New export" not in page


def test_a_manager_exports_and_downloads(manager: Client, project: Project) -> None:
    page = manager.get(url("transfer:exports", project)).content.decode()
    assert "Nothing was exported yet" in page
    assert "Label Studio JSON" in page
    answer = manager.post(url("transfer:exports", project), {"format": "csv", "plain": "on"})
    made = Export.objects.get(project=project)
    assert answer["Location"] == url("transfer:export", project, made.pk)
    waiting = manager.get(answer["Location"]).content.decode()
    assert "hx-trigger" in waiting
    assert made.job_id is not None
    run_job(made.job_id)
    page = manager.get(answer["Location"]).content.decode()
    made.refresh_from_db()
    assert made.digest in page
    assert "apostrophe" not in page  # the boxes were sent without it, so cells stay as they are
    assert "1 archived item is left out." in page
    download = manager.get(url("transfer:export_download", project, made.pk))
    assert body(download) == data_of(made).read_bytes()
    assert download["Content-Disposition"] == 'attachment; filename="pets-csv.csv"'
    assert made.digest[:12] in manager.get(url("transfer:exports", project)).content.decode()


def test_what_would_be_lost_is_shown_before(manager: Client, project: Project, monkeypatch: Any) -> None:
    found = manager.get(url("transfer:losses", project), {"format": "fasttext"}).content.decode()
    assert "replaced by spaces" in found
    assert (
        "Nothing is lost or changed"
        in manager.get(url("transfer:losses", project), {"format": "native"}).content.decode()
    )
    from annotator.transfer import exports

    monkeypatch.setattr(exports, "PREVIEWED", 1)
    found = manager.get(url("transfer:losses", project), {"format": "fasttext"}).content.decode()
    assert "has no place for: each person&#x27;s answer" in found
    assert not Export.objects.exists()


def test_shares_that_do_not_add_up_are_refused_in_the_form(manager: Client, project: Project) -> None:
    values = {"format": "csv", "divide": "on", "train": "0.5", "validation": "0.1", "test": "0.1"}
    answer = manager.post(url("transfer:exports", project), values)
    assert answer.status_code == 422
    assert "add up to 0.7" in answer.content.decode()
    answer = manager.post(url("transfer:exports", project), {"format": "huggingface", "plain": "on"})
    assert answer.status_code == 422
    assert "come as an archive" in answer.content.decode()


def test_snapshots_are_made_exported_and_deleted_by_their_owner(manager: Client, project: Project) -> None:
    values = {"snapshot-name": "v1", "snapshot-divide": "on", "snapshot-train": "0.5", "snapshot-test": "0.5"}
    assert manager.post(url("transfer:snapshots", project), values).status_code == 302
    snapshot = Snapshot.objects.get(project=project)
    assert snapshot.job_id is not None
    run_job(snapshot.job_id)
    page = manager.get(url("transfer:exports", project)).content.decode()
    assert "Frozen" in page
    answer = manager.post(url("transfer:snapshots", project), values)
    assert answer.status_code == 422
    assert "already" in answer.content.decode()
    answer = manager.post(url("transfer:exports", project), {"format": "native", "snapshot": snapshot.pk})
    assert answer.status_code == 302
    delete = url("transfer:snapshot_delete", project, snapshot.pk)
    assert manager.post(delete, {"confirmation": "no"}).status_code == 422
    assert manager.post(delete).status_code == 422
    assert manager.post(delete, {"confirmation": "v1"}).status_code == 302
    assert not Snapshot.objects.exists()


def test_snapshots_of_other_projects_cannot_be_chosen(manager: Client, project: Project) -> None:
    foreign = freeze(rich_text_project())
    answer = manager.post(url("transfer:exports", project), {"format": "native", "snapshot": foreign.pk})
    assert answer.status_code == 422
    answer = manager.post(
        url("api:exports", project),
        {"format": "native", "snapshot": foreign.pk},
        content_type="application/json",
    )
    assert answer.status_code == 404
    assert not Export.objects.exists()


def test_viewers_fetch_and_annotators_do_not(client: Client, project: Project) -> None:
    made = export(project, "csv")
    client.force_login(join(project, Role.VIEWER))
    page = client.get(url("transfer:exports", project)).content.decode()
    assert "New export" not in page
    assert client.get(url("transfer:export_download", project, made.pk)).status_code == 200
    client.force_login(join(project, Role.ANNOTATOR))
    assert client.get(url("transfer:exports", project)).status_code == 403
    assert client.get(url("transfer:export_download", project, made.pk)).status_code == 403


def test_images_have_their_own_formats(client: Client) -> None:
    project = rich_image_project()
    client.force_login(project.created_by)
    page = client.get(url("transfer:exports", project)).content.decode()
    assert "Images in class folders" in page
    assert "doccano" not in page


def test_files_that_an_export_does_not_have_are_not_found(manager: Client, project: Project) -> None:
    made = export(project, "csv", plain=True)
    where = url("transfer:export_download", project, made.pk)
    assert body(manager.get(where, {"file": "loss.txt"})).startswith(b"1")
    for name in ("../files/manifest.json", "/etc/passwd", "part0000", "nothing"):
        assert manager.get(where, {"file": name}).status_code == 404
    data_of(made).unlink()
    assert manager.get(where).status_code == 404


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=10-", 10, None),
        ("bytes=-7", -7, None),
        ("bytes=0-99999999", 0, None),
    ],
)
def test_a_download_goes_on_where_it_broke_off(
    manager: Client, project: Project, asked: str, first: int, last: int | None
) -> None:
    made = export(project, "native")
    data = data_of(made).read_bytes()
    where = url("transfer:export_download", project, made.pk)
    whole = manager.get(where)
    assert whole["Accept-Ranges"] == "bytes"
    part = manager.get(where, headers={"Range": asked, "If-Range": whole["ETag"]})
    assert part.status_code == 206
    expected = data[first:] if last is None else data[first : last + 1]
    assert body(part) == expected
    start = first % len(data)
    assert part["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"
    assert int(part["Content-Length"]) == len(expected)


def test_ranges_that_cannot_be_had(manager: Client, project: Project) -> None:
    made = export(project, "native")
    size = data_of(made).stat().st_size
    where = url("transfer:export_download", project, made.pk)
    for asked in (f"bytes={size}-", "bytes=9-3", "bytes=-0"):
        answer = manager.get(where, headers={"Range": asked})
        assert answer.status_code == 416
        assert answer["Content-Range"] == f"bytes */{size}"
    for headers in (
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=-"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
    ):
        answer = manager.get(where, headers=headers)
        assert answer.status_code == 200
        assert len(body(answer)) == size


def test_a_program_exports_downloads_and_deletes(manager: Client, project: Project) -> None:
    def post(name: str, values: dict[str, Any]) -> Any:
        return manager.post(url(name, project), values, content_type="application/json")

    frozen = post("api:snapshots", {"name": "v1", "splits": {"train": 0.5, "validation": 0.25, "test": 0.25}})
    assert frozen.status_code == 202
    run_job(frozen.json()["job"]["id"])
    answer = post(
        "api:exports",
        {"format": "native", "snapshot": frozen.json()["id"], "filters": {"confirmed_only": True}},
    )
    assert answer.status_code == 202
    run_job(answer.json()["job"]["id"])
    number = answer.json()["id"]
    found = manager.get(url("api:export", project, number)).json()
    assert found["digest"] == found["manifest"]["digest"]
    assert found["files"][0]["size"] == len(body(manager.get(url("api:export_download", project, number))))
    assert [each["id"] for each in manager.get(url("api:exports", project)).json()["results"]] == [number]
    assert manager.get(url("api:snapshots", project)).json()["results"][0]["digest"]
    for wrong in ({"format": "yaml"}, {}, {"format": "csv", "filters": {"minimum_agreement": 7}}):
        assert post("api:exports", wrong).status_code in (400, 422)
    assert post("api:exports", {"format": "csv", "splits": {"train": 1.0}}).status_code == 422
    assert manager.delete(url("api:export", project, number)).status_code == 204
    snapshot = url("api:snapshot", project, frozen.json()["id"])
    assert manager.delete(snapshot).status_code == 422
    assert manager.delete(snapshot + "?confirm=v1").status_code == 204


def test_programs_ask_what_an_export_would_lose(project: Project, manager: Client) -> None:
    def ask(body: dict[str, Any]) -> Any:
        return manager.post(
            url("api:exports_preview", project), json.dumps(body), content_type="application/json"
        )

    told = ask({"format": "fasttext"}).json()["losses"]
    assert {loss["key"] for loss in told} >= {"votes"}
    assert all(loss["count"] > 0 and loss["words"] for loss in told)
    assert ask({"format": "imagefolder"}).status_code == 422
    assert ask({"format": "zip of nothing"}).status_code == 422


def test_of_too_much_text_no_page_counts_the_losses(
    project: Project, manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PREVIEWED_BYTES", 100)
    body = json.dumps({"format": "csv"})
    told = manager.post(url("api:exports_preview", project), body, content_type="application/json")
    assert told.json() == {"losses": None}


def test_the_address_of_a_wrong_form_leads_back_to_the_page(project: Project, manager: Client) -> None:
    answer = manager.get(url("transfer:snapshots", project))
    assert (answer.status_code, answer.headers["Location"]) == (302, url("transfer:exports", project))
