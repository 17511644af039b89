from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from annotator.common.errors import Invalid, NotFound
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer import reading, services, sources
from annotator.transfer.counts import read_errors
from annotator.transfer.models import Import
from annotator.transfer.reading import batches
from tests.factories import join, make_project
from tests.modalities.images import image_bytes
from tests.transfer.makers import start

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(tmp_path: Path, settings: LazySettings) -> Path:
    """A folder that may be imported from, with a secret beside it."""
    allowed = tmp_path / "allowed"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", ".hidden/x.png"):
        path = allowed / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes((len(name), 3)))
    (allowed / "pets" / "notes.md").write_text("hello")
    (tmp_path / "secret.png").write_bytes(image_bytes((9, 9)))
    (tmp_path / "secrets").mkdir()
    settings.IMPORT_ROOTS = [str(allowed)]
    return allowed


@pytest.fixture
def images() -> Project:
    return make_project(modality="image")


def use(project: Project, inside: str = "pets") -> Import:
    return services.use_folder(project=project, user=None, folder=sources.server_folder(0, inside))


def test_a_folder_is_read_in_place(root: Path, images: Project) -> None:
    record = use(images)
    assert record.title == "allowed/pets"
    job = start(record)
    run_job(job.pk)
    record.refresh_from_db()
    names = Item.objects.order_by("row").values_list("external_id", "imported_label__classes")
    assert list(names) == [("cat/1.png", ["cat"]), ("cat/2.png", ["cat"]), ("dog/1.png", ["dog"])]
    assert [(each["file"], each["reason"]) for each in read_errors(record.errors_path, 9)] == [
        ("notes.md", "This is no image files, as the others here are.")
    ]
    assert (root / "pets/cat/1.png").exists()


@pytest.mark.parametrize(
    "inside", ["..", "../secrets", "pets/../../secrets", "/etc", "pets/cat/1.png", "nowhere", "a\0b"]
)
def test_nothing_outside_the_root_is_a_folder_to_import_from(root: Path, inside: str) -> None:
    with pytest.raises(NotFound):
        sources.server_folder(0, inside)


@pytest.mark.parametrize("number", [-1, 1, 10**9])
def test_only_roots_of_the_settings_exist(root: Path, number: int) -> None:
    with pytest.raises(NotFound):
        sources.server_folder(number, "")


def test_a_link_to_a_folder_outside_is_no_folder(root: Path) -> None:
    (root / "way-out").symlink_to(root.parent / "secrets")
    with pytest.raises(NotFound):
        sources.server_folder(0, "way-out")


def test_links_that_lead_out_are_refused_one_by_one(root: Path, images: Project) -> None:
    (root / "pets/cat/out.png").symlink_to(root.parent / "secret.png")
    (root / "pets/cat/in.png").symlink_to(root / "pets/dog/1.png")
    (root / "pets/round").symlink_to(root / "pets")
    (root / "pets/cat/dangling.png").symlink_to(root / "nowhere.png")
    record = use(images)
    run_job(start(record).pk)
    names = set(Item.objects.values_list("external_id", flat=True))
    assert names == {"cat/1.png", "cat/2.png", "dog/1.png", "cat/in.png"}
    reasons = {each["file"]: each["reason"] for each in read_errors(record.errors_path, 9)}
    assert reasons["cat/out.png"] == sources.OUTSIDE
    assert reasons["cat/dangling.png"] == "This is no file."


def test_a_pipe_is_no_file(root: Path, images: Project) -> None:
    os.mkfifo(root / "pets/cat/pipe.png")
    record = use(images)
    run_job(start(record).pk)
    assert Item.objects.count() == 3


def test_a_folder_without_anything_fitting_is_refused(root: Path, images: Project) -> None:
    (root / "empty").mkdir()
    for project, inside in ((images, "empty"), (make_project(), "pets")):
        with pytest.raises(Invalid, match="no file in this folder"):
            use(project, inside)
    assert not Import.objects.exists()


def test_too_many_files_are_refused(root: Path, images: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    with pytest.raises(Invalid, match="more than 2 files"):
        use(images)


def test_a_root_taken_out_of_the_settings_ends_what_waits(
    root: Path, images: Project, settings: LazySettings
) -> None:
    record = use(images)
    settings.IMPORT_ROOTS = []
    with pytest.raises(services.Conflict, match="no longer there"):
        services.look(record)


def test_tables_of_a_folder_are_one_import(root: Path) -> None:
    (root / "texts").mkdir()
    for name in ("a.csv", "b.csv"):
        (root / "texts" / name).write_text(f"id,text\n{name},text of {name}\n")
    project = make_project()
    run_job(start(use(project, "texts")).pk)
    assert Item.objects.filter(project=project).count() == 2


# Pages


def test_from_the_root_to_the_check(root: Path, images: Project, client: Client) -> None:
    client.force_login(join(images, Role.MANAGER))
    url = reverse("transfer:server", args=[images.pk])
    assert url in client.get(reverse("transfer:import", args=[images.pk])).content.decode()
    assert "allowed" in client.get(url).content.decode()
    assert "folder=pets" in client.get(url, {"root": 0}).content.decode()
    assert "folder=pets/cat" in client.get(url, {"root": 0, "folder": "pets"}).content.decode()
    answer = client.post(url, {"root": 0, "folder": "pets"})
    record = Import.objects.get()
    assert answer.headers["Location"] == reverse("transfer:mapping", args=[images.pk, record.pk])
    run_job(Job.objects.get(kind="dry_run").pk)
    page = client.get(answer.headers["Location"])
    assert page.context["counts"].created == 3
    assert "cat (2)" in page.content.decode()


def test_pages_say_what_does_not_work(root: Path, client: Client, settings: LazySettings) -> None:
    project = make_project()
    client.force_login(join(project, Role.MANAGER))
    url = reverse("transfer:server", args=[project.pk])
    answer = client.post(url, {"root": 0, "folder": "pets"})
    assert answer.status_code == 422
    assert "no file in this folder" in answer.content.decode()
    assert client.get(url, {"root": 0, "folder": "../secrets"}).status_code == 404
    assert client.post(url, {"root": "x"}).status_code == 409
    settings.IMPORT_ROOTS = []
    assert "ANNOTATOR_IMPORT_ROOTS" in client.get(url).content.decode()
    assert url not in client.get(reverse("transfer:import", args=[project.pk])).content.decode()


def test_programs_look_into_folders_and_import_them(
    settings: LazySettings, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "root" / "inside").mkdir(parents=True)
    (tmp_path / "root" / "inside" / "a.csv").write_text("text,label\none,cat\n")
    settings.IMPORT_ROOTS, settings.MEDIA_ROOT = [tmp_path / "root"], tmp_path / "media"
    project = make_project()
    client.force_login(project.created_by)
    address = reverse("api:imports_folder", args=[project.pk])
    assert client.get(address).json() == {"roots": ["root"], "folders": []}
    assert client.get(address, {"root": 0}).json()["folders"] == ["inside"]
    assert client.get(address, {"root": 0, "folder": "../.."}).status_code == 404
    body = {"root": 0, "folder": "inside", "options": {"label": ""}}
    answered = client.post(address, json.dumps(body), content_type="application/json")
    assert answered.status_code == 202, answered.content
    run_job(answered.json()["job"]["id"])
    assert Item.objects.get(project=project).text == "one"
    [row] = client.get(reverse("api:imports", args=[project.pk])).json()["results"]
    assert (row["title"], row["source"], row["job"]["state"]) == ("root/inside", "server", "succeeded")


def test_an_import_taken_up_again_reads_the_files_it_began_with(
    root: Path, images: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = use(images)
    (root / "pets" / "notes.md").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(reading, "BATCH_ROWS", 1)
        assert next(batches(record)).places == [("cat/1.png", 1)]
    for n, name in enumerate(("aaa.png", "aab.png")):
        (root / "pets" / name).write_bytes(image_bytes((7, 7 + n)))
    (root / "pets" / "cat" / "1.png").unlink()
    [rest] = batches(record, skip=1)
    assert [name for name, _ in rest.places] == ["cat/2.png", "dog/1.png"]
    [anew] = batches(record)
    assert [name for name, _ in anew.places] == ["aaa.png", "aab.png", "cat/2.png", "dog/1.png"]
    services.remove_files(record)
    assert not list(record.folder.glob("*.listing"))


def test_a_link_that_leads_out_since_the_import_began_is_refused(root: Path, images: Project) -> None:
    record = use(images)
    assert len(list(batches(record))) == 1
    path = root / "pets" / "dog" / "1.png"
    path.unlink()
    path.symlink_to(root.parent / "secret.png")
    [rest] = batches(record, skip=1)
    assert ("dog/1.png", 0, sources.OUTSIDE, "") in rest.errors
