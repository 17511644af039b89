from __future__ import annotations

import io
import shutil
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.items.models import ImportedLabel, Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer import services, tasks, uploads
from annotator.transfer.models import Import
from annotator.transfer.uploads import Announced
from tests.factories import join, make_project
from tests.modalities.images import image_bytes
from tests.transfer.makers import start

pytestmark = pytest.mark.django_db
TABLE = b"id,text\n1,one\n2,two\n"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> APIClient:
    client = APIClient()
    client.force_authenticate(join(project, Role.MANAGER))
    return client


def create(project: Project, *files: tuple[str, int]) -> Import:
    return uploads.create(project=project, user=None, files=[Announced(*each) for each in files])


def put(record: Import, number: int, offset: int, data: bytes) -> int:
    stream = io.BytesIO(data)
    return uploads.write_chunk(record=record, number=number, offset=offset, stream=stream, length=len(data))


def send(project: Project, files: dict[str, bytes]) -> Import:
    record = create(project, *((name, len(data)) for name, data in files.items()))
    for number, data in enumerate(files.values()):
        if data:
            put(record, number, 0, data)
    return uploads.complete(record=record)


def test_pieces_become_the_file(project: Project) -> None:
    record = create(project, ("a.csv", len(TABLE)))
    assert put(record, 0, 0, TABLE[:5]) == 5
    assert uploads.offsets(record) == [5]
    with pytest.raises(Conflict, match="are missing"):
        uploads.complete(record=record)
    put(record, 0, 5, TABLE[5:])
    uploads.complete(record=record)
    run_job(start(record).pk)
    assert Item.objects.count() == 2


@pytest.mark.parametrize("offset", [0, 4, 6, 100])
def test_a_piece_that_does_not_go_on_where_the_file_ends_changes_nothing(
    project: Project, offset: int
) -> None:
    record = create(project, ("a.csv", len(TABLE)))
    put(record, 0, 0, TABLE[:5])
    with pytest.raises(Conflict) as caught:
        put(record, 0, offset, b"xx")
    assert (caught.value.code, caught.value.extra) == ("wrong_offset", {"offset": 5})
    assert uploads.offsets(record) == [5]


def test_more_than_was_announced_is_refused(project: Project) -> None:
    record = create(project, ("a.csv", 3))
    with pytest.raises(Conflict):
        put(record, 0, 0, b"abcd")
    assert uploads.offsets(record) == [0]


def test_a_connection_that_breaks_keeps_what_came(project: Project) -> None:
    record = create(project, ("a.csv", 10))
    came = uploads.write_chunk(record=record, number=0, offset=0, stream=io.BytesIO(b"abc"), length=10)
    assert came == 3
    assert uploads.offsets(record) == [3]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([], "wrong_format"),
        ([("a.exe", 1)], "wrong_format"),
        ([("a.csv", 1), ("b.txt", 1)], "wrong_format"),
        ([("a.csv", 600), ("b.csv", 600)], "too_large"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_anything_is_sent(
    project: Project, settings: LazySettings, files: list[tuple[str, int]], code: str
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    with pytest.raises(Invalid) as caught:
        create(project, *files)
    assert caught.value.code == code
    assert not Import.objects.exists()


def test_one_image_may_not_be_larger_than_images_are() -> None:
    images = make_project(modality="image")
    with pytest.raises(Invalid, match="big"):
        create(images, ("small.png", 10), ("big.png", 65 * 2**20))


def test_folders_of_loose_images_name_their_classes_and_splits() -> None:
    images = make_project(modality="image")
    names = ("train/cat/1.png", "test/dog/1.png", "../../etc/3.png", "train/cat/ü.png")
    record = send(images, {name: image_bytes((n + 2, 4)) for n, name in enumerate(names)})
    layout = services.look(record)
    assert layout.options.folder_labels
    assert "cat (2)" in layout.folders
    run_job(start(record).pk)
    found = Item.objects.order_by("external_id").values_list("external_id", "split")
    assert dict(found) == {
        "3.png": "pool", "test/dog/1.png": "test", "train/cat/1.png": "pool", "train/cat/ü.png": "pool",
    }  # fmt: skip
    assert ImportedLabel.objects.get(item__external_id="test/dog/1.png").classes == ["dog"]


def test_an_upload_left_alone_is_removed_after_a_day(project: Project) -> None:
    old, fresh = create(project, ("a.csv", 5)), create(project, ("a.csv", 5))
    put(old, 0, 0, b"ab")
    Import.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=25))
    tasks.remove_old_files()
    assert list(Import.objects.all()) == [fresh]
    assert not old.folder.exists()


def test_an_empty_file_is_complete_without_a_piece(project: Project) -> None:
    record = create(project, ("a.csv", 0))
    with pytest.raises(Invalid, match="empty"):
        uploads.complete(record=record)


# Over HTTP


def test_a_program_sends_pieces_and_imports(project: Project, api: APIClient) -> None:
    root = f"/api/v1/projects/{project.pk}/uploads/"
    made = api.post(root, {"files": [{"name": "a.csv", "size": len(TABLE)}]}, format="json")
    assert made.status_code == 201, made.json()
    one = f"{root}{made.json()['id']}/"
    first = api.put(f"{one}?file=0&offset=0", TABLE[:9], content_type="application/octet-stream")
    assert first.json() == {"offset": 9}
    again = api.put(f"{one}?file=0&offset=0", TABLE[:9], content_type="application/octet-stream")
    assert (again.status_code, again.json()["code"], again.json()["offset"]) == (409, "wrong_offset", 9)
    assert api.post(f"{one}complete/").json()["code"] == "incomplete_upload"
    assert api.get(one).json()["files"] == [{"name": "a.csv", "size": len(TABLE), "offset": 9}]
    api.put(f"{one}?file=0&offset=9", TABLE[9:], content_type="application/octet-stream")
    assert api.post(f"{one}complete/").json()["complete"] is True
    assert api.delete(one).status_code == 409
    started = api.post(
        f"/api/v1/projects/{project.pk}/imports/", {"upload": made.json()["id"]}, format="multipart"
    )
    assert started.status_code == 202, started.json()
    run_job(started.json()["job"]["id"])
    assert Item.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b"\0" * 20), ("a.csv", b"\0" * 20), ("a.parquet", b"PAR1 and no table")]
)
@pytest.mark.django_db(transaction=True)
def test_files_that_are_refused_at_the_end_can_be_sent_anew(
    project: Project, api: APIClient, name: str, content: bytes
) -> None:
    root = f"/api/v1/projects/{project.pk}/uploads/"
    for _ in range(2):
        made = api.post(root, {"files": [{"name": name, "size": len(content)}]}, format="json")
        one = f"{root}{made.json()['id']}/"
        sent = api.put(f"{one}?file=0&offset=0", content, content_type="application/octet-stream")
        assert sent.json() == {"offset": len(content)}
        assert api.post(f"{one}complete/").status_code == 422
        assert api.get(one).status_code == 404
        assert not Import.objects.exists()


def test_an_upload_whose_files_were_removed_is_no_upload(project: Project, api: APIClient) -> None:
    record = create(project, ("a.csv", 5))
    shutil.rmtree(record.folder)
    url = f"/api/v1/projects/{project.pk}/uploads/{record.pk}/"
    assert api.get(url).status_code == 404
    assert api.put(f"{url}?file=0&offset=0", b"a", content_type="application/octet-stream").status_code == 404
    with pytest.raises(NotFound, match="was removed"):
        put(record, 0, 0, b"a")


def test_a_full_disk_is_said_and_what_came_stays(project: Project, api: APIClient) -> None:
    record = create(project, ("a.csv", 5))
    path = record.folder / record.files[0]["stored"]
    path.symlink_to("/dev/full")
    url = f"/api/v1/projects/{project.pk}/uploads/{record.pk}/?file=0&offset=0"
    answer = api.put(url, b"abcde", content_type="application/octet-stream")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert path.is_symlink()


@pytest.mark.parametrize("query", ["file=x", "file=1", "offset=-1", "offset=" + "9" * 30])
def test_what_is_no_place_in_the_upload_is_refused(project: Project, api: APIClient, query: str) -> None:
    record = create(project, ("a.csv", 5))
    url = f"/api/v1/projects/{project.pk}/uploads/{record.pk}/?{query}"
    assert api.put(url, b"a", content_type="application/octet-stream").status_code in (400, 409, 422)
    assert uploads.offsets(record) == [0]


def test_a_piece_that_is_too_large_is_refused(
    project: Project, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 4)
    record = create(project, ("a.csv", 5))
    url = f"/api/v1/projects/{project.pk}/uploads/{record.pk}/"
    answer = api.put(url, b"abcde", content_type="application/octet-stream")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_upload_can_be_given_up(project: Project, api: APIClient) -> None:
    record = create(project, ("a.csv", 5))
    url = f"/api/v1/projects/{project.pk}/uploads/{record.pk}/"
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert not record.folder.exists()


@pytest.mark.parametrize(
    "files", [[], "x", [{"name": "a.csv"}], [{"name": "a.csv", "size": -1}], [{"name": "", "size": 1}]]
)
def test_what_announces_no_files_is_refused(project: Project, api: APIClient, files: object) -> None:
    answer = api.post(f"/api/v1/projects/{project.pk}/uploads/", {"files": files}, format="json")
    assert answer.status_code == 400
    assert not Import.objects.exists()


def test_the_page_takes_over_a_complete_upload(project: Project, client: Client) -> None:
    client.force_login(join(project, Role.MANAGER))
    record = create(project, ("a.csv", len(TABLE)))
    mapping = reverse("transfer:mapping", args=[project.pk, record.pk])
    assert client.get(mapping).status_code == 404
    put(record, 0, 0, TABLE)
    answer = client.post(reverse("transfer:import", args=[project.pk]), {"upload": record.pk})
    assert answer.headers["Location"] == mapping
    assert client.get(mapping).context["counts"].created == 2
    assert not Job.objects.filter(kind="import").exists()
