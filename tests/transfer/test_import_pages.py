from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer.models import Import
from tests.factories import join, make_project
from tests.modalities.images import image_bytes
from tests.transfer.makers import receive, run, upload, zip_bytes

pytestmark = pytest.mark.django_db
TABLE = "id;text;label\n1;one, two;cat\n2;;dog\n"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def manager(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.MANAGER))
    return client


def address(name: str, project: Project, *args: object) -> str:
    return reverse(f"transfer:{name}", args=[project.pk, *args])


def test_from_upload_to_items(project: Project, manager: Client) -> None:
    answer = manager.post(address("import", project), {"uploads": [upload("a.csv", TABLE)]})
    record = Import.objects.get()
    assert answer.headers["Location"] == address("mapping", project, record.pk)

    page = manager.get(address("mapping", project, record.pk))
    form = page.context["form"]
    assert (form["text"].value(), form["external_id"].value(), form["delimiter"].value()) == (
        "text",
        "id",
        ";",
    )
    assert "one, two" in page.content.decode()

    chosen = {name: form[name].value() or "" for name in form.fields if form[name].value() is not False}
    answer = manager.post(address("mapping", project, record.pk), chosen | {"action": "start"})
    job = Job.objects.get(kind="import")
    assert answer.headers["Location"] == address("report", project, job.pk)
    assert "hx-get" in manager.get(address("report", project, job.pk)).content.decode()

    run_job(job.pk)
    report = manager.get(address("report", project, job.pk)).content.decode()
    assert Item.objects.get().text == "one, two"
    assert "The text is empty." in report
    assert 'id="report"\n     >' in report or "live:job" not in report
    errors = manager.get(address("report_errors", project, job.pk))
    assert errors.headers["Content-Disposition"].startswith("attachment")
    assert b"a.csv,3,The text is empty." in errors.content
    assert "a.csv" in manager.get(address("import", project)).content.decode()


def test_another_delimiter_shows_other_columns(project: Project, manager: Client) -> None:
    record = receive(project, upload("a.csv", TABLE))
    data = {"action": "preview", "delimiter": ",", "encoding": "utf-8", "header": "yes", "text": "text"}
    page = manager.post(address("mapping", project, record.pk), data, headers={"HX-Request": "true"})
    part = page.content.decode()
    assert '<option value="id;text;label" selected>' in part
    assert "<html" not in part
    assert not Job.objects.exists()


def test_a_preview_keeps_the_chosen_columns(project: Project, manager: Client) -> None:
    record = receive(project, upload("a.csv", TABLE))
    data = {
        "action": "preview",
        "delimiter": ";",
        "encoding": "latin-1",
        "header": "yes",
        "text": "label",
        "external_id": "",
    }
    form = manager.post(address("mapping", project, record.pk), data).context["form"]
    assert (form["text"].value(), form["external_id"].value(), form["encoding"].value()) == (
        "label",
        "",
        "latin-1",
    )


def test_a_column_that_is_not_there_is_an_error_on_the_page(project: Project, manager: Client) -> None:
    record = receive(project, upload("a.csv", TABLE))
    data = {"action": "start", "delimiter": ";", "encoding": "utf-8", "header": "yes", "text": "nothing"}
    answer = manager.post(address("mapping", project, record.pk), data)
    assert answer.status_code == 422
    assert not Job.objects.exists()


def test_files_that_cannot_be_read_are_said_on_the_page(project: Project, manager: Client) -> None:
    for name, content, said in (
        ("a.png", b"x", "does not fit"),
        ("a.csv", b"\0" * 99, "binary"),
        ("a.csv", b" ", "empty"),
    ):
        answer = manager.post(address("import", project), {"uploads": [upload(name, content)]})
        assert answer.status_code == 422
        assert said in answer.content.decode()
    assert manager.post(address("import", project), {}).status_code == 422


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(
    project: Project, manager: Client, settings: LazySettings
) -> None:
    settings.MAX_UPLOAD_BYTES = 2**20
    answer = manager.post(address("import", project), {"uploads": [upload("a.csv", b"x" * 2**20)]})
    assert answer.status_code == 413
    assert "1 MiB" in answer.content.decode()
    assert not Import.objects.exists()


def test_an_upload_needs_its_csrf_token(project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(join(project, Role.MANAGER))
    assert client.post(address("import", project), {"uploads": [upload("a.csv", TABLE)]}).status_code == 403
    assert not Import.objects.exists()


def test_an_archive_shows_its_folders(client: Client) -> None:
    project = make_project(modality="image")
    client.force_login(join(project, Role.MANAGER))
    archive = zip_bytes({"cat/1.png": image_bytes(), "dog/1.png": image_bytes((2, 2))})
    client.post(address("import", project), {"uploads": [upload("a.zip", archive)]})
    record = Import.objects.get()
    page = client.get(address("mapping", project, record.pk))
    assert "cat (1)" in page.content.decode()
    assert page.context["form"]["folder_labels"].value() is True
    client.post(address("mapping", project, record.pk), {"action": "start"})
    run_job(Job.objects.get(kind="import").pk)
    assert Item.objects.count() == 2
    assert not Item.objects.exclude(imported_label=None).exists()


def test_loose_images_need_no_mapping(client: Client) -> None:
    project = make_project(modality="image")
    client.force_login(join(project, Role.MANAGER))
    client.post(
        address("import", project),
        {"uploads": [upload("a.png", image_bytes()), upload("b.png", image_bytes((1, 1)))]},
    )
    record = Import.objects.get()
    assert "b.png" in client.get(address("mapping", project, record.pk)).content.decode()
    client.post(address("mapping", project, record.pk), {"action": "start"})
    run_job(Job.objects.get(kind="import").pk)
    assert Item.objects.count() == 2


def test_a_started_import_shows_its_report_instead_of_the_mapping(project: Project, manager: Client) -> None:
    record, job = run(project, upload("a.csv", TABLE))
    answer = manager.get(address("mapping", project, record.pk))
    assert answer.headers["Location"] == address("report", project, job.pk)


def test_a_cancelled_import_can_be_tried_again(project: Project, manager: Client) -> None:
    record, job = run(project, upload("a.csv", TABLE))
    Job.objects.filter(pk=job.pk).update(state="cancelled")
    (record.folder / "file00000").write_text(TABLE)
    page = manager.get(address("report", project, job.pk)).content.decode()
    assert address("mapping", project, record.pk) in page
    assert manager.get(address("mapping", project, record.pk)).status_code == 200


def test_labels_without_a_class_are_named(project: Project, manager: Client) -> None:
    _, job = run(project, upload("a.csv", "id,text,label\n1,a,cat\n2,b,unicorn\n"))
    page = manager.get(address("report", project, job.pk)).content.decode()
    assert "unicorn" in page
    assert "name no class" in page


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.OWNER, 200), (Role.MANAGER, 200), (Role.REVIEWER, 403), (Role.VIEWER, 403), (Role.ANNOTATOR, 403)],
)
def test_roles(project: Project, client: Client, role: str, status: int) -> None:
    _, job = run(project, upload("a.csv", TABLE))
    waiting = receive(project, upload("a.csv", TABLE))
    client.force_login(join(project, role))
    assert client.get(address("import", project)).status_code == status
    assert client.get(address("mapping", project, waiting.pk)).status_code == status
    assert client.get(address("report", project, job.pk)).status_code == status
    assert client.get(address("report_errors", project, job.pk)).status_code == status
    if status == 403:
        assert (
            client.post(address("import", project), {"uploads": [upload("a.csv", TABLE)]}).status_code == 403
        )
        assert (
            client.post(
                address("mapping", project, waiting.pk), {"action": "start", "text": "text"}
            ).status_code
            == 403
        )
        assert Job.objects.filter(kind="import").count() == 1


def test_a_foreign_project_and_its_imports_do_not_exist(project: Project, manager: Client) -> None:
    other = make_project()
    record, job = run(other, upload("a.csv", TABLE))
    assert manager.get(address("import", other)).status_code == 404
    for owner in (other, project):
        assert manager.get(address("mapping", owner, record.pk)).status_code == 404
        assert manager.get(address("report", owner, job.pk)).status_code == 404
        assert manager.get(address("report_errors", owner, job.pk)).status_code == 404


def test_a_wrong_encoding_is_told_row_by_row_and_can_be_changed_back(
    project: Project, manager: Client
) -> None:
    table = "id;text\n1;Häuser\n2;plain\n".encode("latin-1")
    manager.post(address("import", project), {"uploads": [upload("a.csv", table)]})
    record = Import.objects.get()
    url = address("mapping", project, record.pk)
    page = manager.get(url)
    assert "is read as Windows-1252" in page.content.decode()
    form = page.context["form"]
    chosen = {name: form[name].value() or "" for name in form.fields if form[name].value() is not False}
    answer = manager.post(url, chosen | {"encoding": "utf-8", "action": "check"}, follow=True)
    told = answer.content.decode()
    assert answer.status_code == 200
    assert "bytes that are not in the file" in told
    record.refresh_from_db()
    assert record.report["created"] == 1
    assert manager.get(url).status_code == 200
    assert manager.post(url, chosen | {"action": "check"}, follow=True).status_code == 200
    record.refresh_from_db()
    assert record.report["created"] == 2


def test_a_column_whose_name_is_not_in_the_encoding_asks_for_another_one(
    project: Project, manager: Client
) -> None:
    manager.post(
        address("import", project), {"uploads": [upload("a.csv", "Straße;text\n1;a\n".encode("latin-1"))]}
    )
    url = address("mapping", project, Import.objects.get().pk)
    form = manager.get(url).context["form"]
    chosen = {name: form[name].value() or "" for name in form.fields if form[name].value() is not False}
    answer = manager.post(url, chosen | {"encoding": "utf-8", "action": "check"})
    assert answer.status_code == 422
    assert "not in this encoding" in answer.content.decode()
    assert manager.get(url).status_code == 200


def test_the_check_comes_first_where_nothing_was_checked(project: Project, manager: Client) -> None:
    """Archives and lists wait for their check, tables have been checked already."""
    manager.post(address("import", project), {"uploads": [upload("a.csv", TABLE)]})
    record = Import.objects.get()
    url = address("mapping", project, record.pk)
    primary = '<button class="button button--primary" type="submit" name="action" value="{}">'
    assert primary.format("start") in manager.get(url).content.decode()
    Import.objects.update(report={})
    assert primary.format("check") in manager.get(url).content.decode()
