"""Images that lie elsewhere: lists of addresses, storages, and what is kept by reference."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotator.items import files, references
from annotator.items.models import Asset, ImportedLabel, Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.learning.encode import samples_of
from annotator.projects.models import Project, Role
from annotator.transfer import fetching
from annotator.transfer.formats import Row
from annotator.transfer.models import Import
from tests.common.servers import answer, server
from tests.common.test_storages import at, bucket
from tests.factories import join, make_project
from tests.modalities.images import image_bytes
from tests.transfer.makers import upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(settings: Settings, tmp_path: Path) -> Project:
    settings.MEDIA_ROOT = tmp_path
    settings.FETCH_ALLOW, settings.FETCH_PORTS = (ip_network("127.0.0.0/8"),), ((1, 65535),)
    return make_project(modality="image")


@pytest.fixture
def manager(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.MANAGER))
    return client


@pytest.fixture
def web(project: Project) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a server, and the files it has, which a test may change."""
    held = {"/red.png": image_bytes(), "/wide.jpg": image_bytes((600, 300), "JPEG", colour=(1, 2, 3))}

    def handler(request: bytes) -> bytes:
        path = request.split(b" ")[1].decode()
        return answer(held[path]) if path in held else answer(status="404 Not Found")

    with server(handler) as port:
        yield f"http://127.0.0.1:{port}", held


def finished(project: Project) -> Import:
    """The newest import, its job done."""
    record = Import.objects.filter(project=project).order_by("-pk")[0]
    assert record.job_id
    run_job(record.job_id)
    record.refresh_from_db()
    return record


def errors_of(record: Import) -> list[tuple[str, str]]:
    with record.errors_path.open(newline="") as file:
        return [(row["line"], row["reason"]) for row in csv.DictReader(file)]


def send(client: Client, project: Project, name: str, body: dict[str, Any]) -> Any:
    return client.post(
        reverse(f"api:{name}", args=[project.pk]), json.dumps(body), content_type="application/json"
    )


def answers_of(page: Any, **changes: Any) -> dict[str, Any]:
    """What a person posts who changes nothing else on the mapping page."""
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in {**values, **changes}.items() if value not in (None, False)}


def test_a_table_of_addresses_brings_images_with_ids_labels_and_splits(
    project: Project, manager: Client, web: Any
) -> None:
    url, _ = web
    table = (
        f"id,photo,label,split\na,{url}/red.png,cat,train\nb,{url}/wide.jpg,dog,test\nc,{url}/none.png,cat,\n"
        "d,http://10.0.0.1/x.png,cat,\ne,,cat,\nf,ftp://x/y.png,cat,\n"
    )

    def bring() -> Import:
        response = manager.post(
            reverse("transfer:import_urls", args=[project.pk]), {"addresses": upload("list.csv", table)}
        )
        assert response.status_code == 302
        page = manager.get(response.url)
        assert page.context["form"]["text"].value() == "photo"
        assert "every image is fetched once" in page.content.decode()
        assert manager.post(response.url, answers_of(page, action="start")).status_code == 302
        return finished(project)

    record = bring()
    assert list(Item.objects.order_by("row").values_list("external_id", "split", "asset__width")) == [
        ("a", "pool", 6), ("b", "test", 600),
    ]  # fmt: skip
    assert [label.classes for label in ImportedLabel.objects.order_by("item__row")] == [["cat"], ["dog"]]
    counts = record.counts
    assert (counts["rows"], counts["created"], counts["rejected"]) == (6, 2, 4)
    assert errors_of(record) == [
        ("4", "127.0.0.1 answered 404 Not Found."),
        ("5", "10.0.0.1 is not a public address."),
        ("6", "The address is empty."),
        ("7", "Only addresses that begin with http:// or https:// can be asked."),
    ]
    kept = Asset.objects.get(width=600)
    assert kept.location == ""
    assert files.asset_path(project.pk, kept.digest).exists()
    assert files.thumbnail_path(project.pk, kept.digest).exists()
    assert bring().counts["known"] == 2


def test_addresses_by_reference_are_fetched_again_and_compared(
    project: Project, manager: Client, web: Any
) -> None:
    url, held = web
    response = send(
        manager,
        project,
        "imports_urls",
        {"urls": [f"{url}/red.png", f"{url}/wide.jpg"], "by_reference": True},
    )
    assert response.status_code == 202, response.content
    assert finished(project).counts["created"] == 2
    item = Item.objects.get(external_id=f"{url}/wide.jpg")
    assert item.asset
    assert item.asset.location == f"{url}/wide.jpg"
    assert not files.asset_path(project.pk, item.asset.digest).exists()
    address = reverse("items:asset", args=[project.pk, item.asset_id])
    assert manager.get(address).content == held["/wide.jpg"]
    # It is in the cache now, and small pictures were made at import: nothing is asked any more.
    whole = held.pop("/wide.jpg")
    assert manager.get(address).content == whole
    assert manager.get(reverse("items:thumbnail", args=[project.pk, item.asset_id])).status_code == 200
    references.trim(0)  # what was just used stays
    assert manager.get(address).status_code == 200


def test_an_object_that_changed_or_vanished_is_told(project: Project, manager: Client, web: Any) -> None:
    url, held = web
    send(
        manager,
        project,
        "imports_urls",
        {"urls": [f"{url}/wide.jpg", f"{url}/red.png"], "by_reference": True},
    )
    finished(project)
    changed, gone = Asset.objects.get(width=600), Asset.objects.get(width=6)
    held["/wide.jpg"] = image_bytes((5, 5))
    del held["/red.png"]
    for asset, words in ((changed, "has changed since it was imported"), (gone, "answered 404")):
        response = manager.get(reverse("items:asset", args=[project.pk, asset.pk]))
        assert response.status_code == 502
        assert words in response.content.decode()
    # An encoder goes on with the others: there is nothing at the path it gets.
    samples = samples_of(project, np.array([0, 1]))
    assert not any(sample.exists() for sample in samples)


def test_encoders_read_what_lies_elsewhere(project: Project, manager: Client, web: Any) -> None:
    url, held = web
    send(manager, project, "imports_urls", {"urls": [f"{url}/wide.jpg"], "by_reference": True})
    send(manager, project, "imports_urls", {"urls": [f"{url}/red.png"]})
    for record in Import.objects.all():
        run_job(record.job_id)  # type: ignore[arg-type]
    rows = {item.external_id: item.row for item in Item.objects.all()}
    wide, red = samples_of(project, np.array([rows[f"{url}/wide.jpg"], rows[f"{url}/red.png"]]))
    assert (wide.read_bytes(), red.read_bytes()) == (held["/wide.jpg"], held["/red.png"])


def test_the_cache_is_bounded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "JUST_USED", -1.0)
    for n in range(5):
        references._keep(references.folder() / "aa" / f"{n}", bytes(100))
    assert references.trim(250) == 200
    assert len(list(references.folder().glob("*/*"))) == 2


def test_a_copy_that_comes_later_is_used_instead_of_the_reference(
    project: Project, manager: Client, web: Any
) -> None:
    url, held = web
    for by_reference in (True, False):
        send(manager, project, "imports_urls", {"urls": [f"{url}/red.png"], "by_reference": by_reference})
        finished(project)
    held.clear()
    asset = Asset.objects.get()
    assert files.original(asset) == files.asset_path(project.pk, asset.digest)


@pytest.mark.parametrize("by_reference", [False, True])
def test_a_storage_is_imported_by_prefix_with_classes_by_folder(
    project: Project, manager: Client, settings: Settings, by_reference: bool
) -> None:
    objects = {
        "set/cat/1.png": image_bytes(), "set/cat/2.png": image_bytes(colour=(1, 1, 1)), "set/test/dog/3 ü.png": image_bytes((9, 9)),
        "set/dog/bad.png": b"no image", "set/notes.txt": b"x", "other/4.png": image_bytes((7, 7)),
    }  # fmt: skip
    with server(bucket(objects)) as port:
        settings.IMPORT_STORAGES = at(port)
        url = reverse("api:imports_bucket", args=[project.pk])
        assert manager.get(url).json() == {"storages": ["ours"]}
        body = {"storage": "ours", "prefix": "set/", "folder_labels": True, "by_reference": by_reference}
        assert send(manager, project, "imports_bucket", body).status_code == 202
        record = finished(project)
        assert list(Item.objects.order_by("row").values_list("external_id", "split", "imported_label__classes")) == [
            ("set/cat/1.png", "pool", ["cat"]), ("set/cat/2.png", "pool", ["cat"]), ("set/test/dog/3 ü.png", "test", ["dog"]),
        ]  # fmt: skip
        assert (record.counts["rows"], record.counts["rejected"]) == (4, 1)
        asset = Asset.objects.get(width=9)
        assert asset.location == ("storage:ours/set/test/dog/3 ü.png" if by_reference else "")
        assert files.original(asset).read_bytes() == objects["set/test/dog/3 ü.png"]
    assert {path.name for path in record.folder.iterdir()} == {"errors.csv"}


def test_a_storage_is_checked_before_it_is_imported(
    project: Project, manager: Client, settings: Settings
) -> None:
    objects = {"cat/1.png": image_bytes(), "dog/bad.png": b"no image"}
    with server(bucket(objects)) as port:
        settings.IMPORT_STORAGES = at(port)
        chosen = manager.post(reverse("transfer:import_bucket", args=[project.pk]), {"storage": "ours"})
        page = manager.get(chosen.url)
        answers = answers_of(page, folder_labels="on", by_reference="on")
        assert manager.post(chosen.url, answers | {"action": "check"}).status_code == 302
        record = Import.objects.get()
        assert record.dry_job_id
        run_job(record.dry_job_id)
        assert not Item.objects.exists()
        told = manager.get(chosen.url).content.decode()
        assert "cat/1.png" in told
        assert "dog/bad.png" in told
        manager.post(chosen.url, answers_of(manager.get(chosen.url), action="start"))
        finished(project)
    item = Item.objects.select_related("asset").get()
    assert item.asset is not None
    assert item.asset.location == "storage:ours/cat/1.png"


def test_programs_check_addresses_without_adding_anything(
    project: Project, manager: Client, web: Any
) -> None:
    url, _ = web
    body = {"urls": [f"{url}/red.png", f"{url}/none.png"], "dry_run": True}
    answered = send(manager, project, "imports_urls", body)
    assert (answered.status_code, answered.json()["dry_run"]) == (202, True)
    job = answered.json()["job"]["id"]
    run_job(job)
    told = manager.get(reverse("api:import", args=[project.pk, job])).json()
    assert (told["created"], told["rejected"]) == (1, 1)
    assert not Item.objects.exists()


def test_a_storage_import_that_is_taken_up_again_counts_the_same_rows(
    project: Project, manager: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotator.transfer import reading, services

    objects = {f"{n}.png": image_bytes((n + 1, 3)) for n in range(6)}
    with server(bucket(objects)) as port:
        settings.IMPORT_STORAGES = at(port)
        send(manager, project, "imports_bucket", {"storage": "ours"})
        monkeypatch.setattr(reading, "BATCH_ROWS", 2)
        stored: list[int] = []
        store = services._store

        def dying(record: Import, batch: reading.Batch, *rest: Any) -> None:
            if len(stored) == 2:
                raise ConnectionError
            store(record, batch, *rest)
            stored.append(batch.rows)

        monkeypatch.setattr(services, "_store", dying)
        record = Import.objects.get()
        with pytest.raises(ConnectionError):
            run_job(record.job_id)  # type: ignore[arg-type]
        objects["0 new.png"] = image_bytes((50, 50))
        monkeypatch.setattr(services, "_store", store)
        Job.objects.update(state=Job.State.QUEUED)
        counts = finished(project).counts
    assert (counts["rows"], counts["created"], counts["rejected"]) == (6, 6, 0)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("imports_urls", {"urls": []}),
        ("imports_urls", {}),
        ("imports_urls", {"urls": ["x" * 3000]}),
        ("imports_bucket", {"storage": "ours", "prefix": "\x07"}),
        ("imports_bucket", {}),
    ],
)
def test_bodies_that_say_nothing_are_refused(
    project: Project, manager: Client, settings: Settings, name: str, body: Any
) -> None:
    settings.IMPORT_STORAGES = at(1)
    assert send(manager, project, name, body).status_code in (400, 422)
    assert not Import.objects.exists()


def test_unknown_storages_and_projects_of_texts_are_refused(
    project: Project, manager: Client, settings: Settings
) -> None:
    settings.IMPORT_STORAGES = {}
    assert send(manager, project, "imports_bucket", {"storage": "ours"}).status_code == 404
    texts = make_project()
    manager.force_login(texts.created_by)
    assert send(manager, texts, "imports_urls", {"urls": ["http://example.org/"]}).status_code == 422


def test_a_list_as_a_file_through_the_api(project: Project, manager: Client, web: Any) -> None:
    url, _ = web
    lines = "\n".join(
        json.dumps({"key": n, "where": f"{url}{path}"}) for n, path in enumerate(("/red.png", "/wide.jpg"))
    )
    body = {"file": upload("a.jsonl", lines), "options": '{"text": "where"}', "by_reference": "true"}
    response = manager.post(reverse("api:imports_urls", args=[project.pk]), body)
    assert response.status_code == 202, response.content
    assert finished(project).counts["created"] == 2
    assert sorted(Item.objects.values_list("external_id", flat=True)) == ["0", "1"]
    missing = {"file": upload("a.jsonl", lines), "options": '{"text": "nowhere"}'}
    assert manager.post(reverse("api:imports_urls", args=[project.pk]), missing).status_code == 422


def test_pages_offer_both_and_say_what_is_wrong(
    project: Project, manager: Client, settings: Settings
) -> None:
    settings.IMPORT_STORAGES = at(1)
    page = manager.get(reverse("transfer:import", args=[project.pk])).content.decode()
    assert "Import from addresses" in page
    assert "Import from the storage" in page
    wrong = manager.post(
        reverse("transfer:import_urls", args=[project.pk]),
        {"addresses": upload("a.csv", "x,y\n1,2\n")},
    )
    assert wrong.status_code == 422
    assert "No column holds addresses" in wrong.content.decode()
    away = manager.post(reverse("transfer:import_bucket", args=[project.pk]), {"storage": "ours"})
    assert away.status_code == 422
    assert "cannot be reached" in away.content.decode()
    assert not Import.objects.exists()


def test_images_that_wait_are_not_all_in_memory(
    project: Project, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    size = 10 * 2**20

    def download(location: str, into: BinaryIO) -> None:
        for _ in range(size // 2**20):
            into.write(location[-1:].encode() * 2**20)

    monkeypatch.setattr(references, "download", download)
    rows = (Row(line=n, fetch=f"http://x/{n % 10}") for n in range(20))
    tracemalloc.start()
    try:
        for n, row in enumerate(fetching.with_bytes(rows)):
            assert isinstance(row, Row)
            assert row.payload is not None
            assert (len(row.payload), row.payload[:1]) == (size, str(n % 10).encode())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 19
    assert peak < 6 * size


def test_a_list_of_addresses_that_is_too_large_is_refused_before_it_is_kept(
    project: Project, manager: Client, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    url = reverse("transfer:import_urls", args=[project.pk])
    assert manager.post(url, {"addresses": upload("list.txt", "http://x/a.png\n" * 200)}).status_code == 413
    assert not Import.objects.exists()
