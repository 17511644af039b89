from __future__ import annotations

import errno
import json

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from rest_framework.test import APIClient

from annotator.items.models import ImportedLabel, Item
from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer import services
from annotator.transfer.models import Import
from tests.factories import join, make_project
from tests.transfer.makers import upload

pytestmark = pytest.mark.django_db
TABLE = "key;body;label\n1;one;cat\n2;;dog\n"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> APIClient:
    client = APIClient()
    client.force_authenticate(join(project, Role.MANAGER))
    return client


def root(project: Project) -> str:
    return f"/api/v1/projects/{project.pk}/imports/"


def test_files_become_a_job_with_a_report(project: Project, api: APIClient) -> None:
    options = json.dumps({"text": "body", "external_id": "key"})
    answer = api.post(
        root(project), {"files": [upload("a.csv", TABLE)], "options": options}, format="multipart"
    )
    assert answer.status_code == 202, answer.json()
    job = answer.json()["job"]["id"]
    assert api.get(f"{root(project)}{job}/").json()["rows"] == 0
    run_job(job)
    report = api.get(f"{root(project)}{job}/").json()
    assert (report["job"]["state"], report["created"], report["rejected"]) == ("succeeded", 1, 1)
    assert report["errors"] == [
        {"file": "a.csv", "line": "3", "reason": "The text is empty.", "excerpt": "2 |  | dog"}
    ]
    assert b"The text is empty." in api.get(f"{root(project)}{job}/errors.csv").content
    assert ImportedLabel.objects.get().classes == ["cat"]


def test_what_is_left_out_is_guessed(project: Project, api: APIClient) -> None:
    answer = api.post(root(project), {"files": [upload("a.csv", TABLE)]}, format="multipart")
    assert answer.json()["options"]["text"] == "body"
    assert answer.json()["options"]["delimiter"] == ";"


@pytest.mark.parametrize(
    ("files", "options", "status", "code"),
    [
        ([], {}, 422, "no_files"),
        ([("a.png", b"x")], {}, 422, "wrong_format"),
        ([("a.csv", b"\0" * 50)], {}, 422, "unreadable_file"),
        ([("a.csv", b"text\na\n")], {"text": "nothing"}, 422, "no_such_column"),
        ([("a.csv", b"text\na\n")], {"encoding": "klingon"}, 422, "unreadable_file"),
        ([("a.csv", b"text\na\n")], {"delimiter": "ab"}, 400, "invalid"),
        ([("a.csv", b"text\na\n")], "no json", 400, "invalid"),
        ([("a.csv", b"text\na\n")], [1], 400, "invalid"),
    ],
)
def test_what_cannot_be_imported_is_a_problem_document(
    project: Project, api: APIClient, files: list[tuple[str, bytes]], options: object, status: int, code: str
) -> None:
    data = {
        "files": [upload(*each) for each in files],
        "options": options if isinstance(options, str) else json.dumps(options),
    }
    answer = api.post(root(project), data, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["", "k1"])
@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "\0" * 50, {}),
        ("a.csv", "text\na\n", {"text": "nothing"}),
        ("a.csv", "text\na\n", {"encoding": "klingon"}),
        ("a.parquet", "PAR1", {}),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_a_refused_import_leaves_nothing_behind(
    project: Project, api: APIClient, key: str, name: str, content: str, options: dict[str, str]
) -> None:
    data = {"files": [upload(name, content)], "options": json.dumps(options)}
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.post(root(project), data, format="multipart", headers=headers)
    assert answer.status_code == 422, answer.json()
    assert not Import.objects.exists()
    folder = Import(pk=1, project=project).folder.parent
    assert not folder.exists() or not list(folder.iterdir())


def test_a_disk_that_fills_while_files_come_leaves_nothing_behind(
    project: Project, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(services, "recognise", fill)
    answer = api.post(root(project), {"files": [upload("a.csv", TABLE)]}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert not Import.objects.exists()
    assert not list(Import(pk=1, project=project).folder.parent.iterdir())


def test_an_upload_that_is_too_large_is_refused(
    project: Project, api: APIClient, settings: LazySettings
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    answer = api.post(root(project), {"files": [upload("a.csv", "x" * 2000)]}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not Import.objects.exists()


def test_texts_are_added_at_once(project: Project, api: APIClient) -> None:
    items = [
        {"external_id": "1", "text": " one ", "split": "test", "meta": {"a": [1]}, "labels": ["cat"]},
        {"text": "two"},
        {"text": ""},
        {"text": "three", "split": "nowhere"},
        {"external_id": "1", "text": "other"},
        {"external_id": "n", "text": "nul\u0000"},
        {"external_id": "m", "text": "meta", "meta": {"x": "\u0000"}},
    ]
    answer = api.post(root(project), {"items": items}, format="json")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["rows"], found["created"], found["known"], found["rejected"]) == (7, 2, 0, 5)
    assert [error["index"] for error in found["errors"]] == [2, 3, 4, 5, 6]
    assert list(Item.objects.order_by("row").values_list("text", "split")) == [
        (" one ", "test"),
        ("two", "pool"),
    ]
    again = api.post(root(project), {"items": items[:2]}, format="json").json()
    assert (again["created"], again["known"]) == (0, 2)


@pytest.mark.parametrize(
    "body", [{}, {"items": []}, {"items": "x"}, {"items": [1]}, {"items": [{"text": "a"}] * 1001}]
)
def test_a_body_that_is_no_list_of_up_to_a_thousand_items_is_refused(
    project: Project, api: APIClient, body: object
) -> None:
    assert api.post(root(project), body, format="json").status_code == 400
    assert not Item.objects.exists()


def test_images_come_as_files(api: APIClient, project: Project) -> None:
    Project.objects.update(modality="image")
    assert api.post(root(project), {"items": [{"text": "a"}]}, format="json").json()["code"] == "wrong_format"


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.VIEWER, Role.ANNOTATOR])
def test_only_managers_import(project: Project, role: str) -> None:
    client = APIClient()
    client.force_authenticate(join(project, role))
    assert client.post(root(project), {"items": [{"text": "a"}]}, format="json").status_code == 403
    assert (
        client.post(root(project), {"files": [upload("a.csv", TABLE)]}, format="multipart").status_code == 403
    )
    assert not Item.objects.exists()


def test_a_foreign_project_and_its_imports_do_not_exist(project: Project, api: APIClient) -> None:
    other = make_project()
    owner = APIClient()
    owner.force_authenticate(other.created_by)
    job = owner.post(root(other), {"files": [upload("a.csv", TABLE)]}, format="multipart").json()["job"]["id"]
    assert api.post(root(other), {"items": [{"text": "a"}]}, format="json").status_code == 404
    for target in (other, project):
        assert api.get(f"{root(target)}{job}/").status_code == 404
        assert api.get(f"{root(target)}{job}/errors.csv").status_code == 404


def test_the_schema_has_no_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert "/imports/" in capsys.readouterr().out
