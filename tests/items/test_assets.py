from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotator.common import downloads
from annotator.items import files
from annotator.items.models import Asset, Item
from annotator.projects.models import Project, Role
from tests.factories import join, make_project
from tests.items.makers import add_image
from tests.modalities.images import image_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(modality="image")


@pytest.fixture
def item(project: Project) -> Item:
    return add_image(project)


@pytest.fixture
def member(project: Project, client: Client) -> Client:
    client.force_login(join(project, Role.ANNOTATOR))
    return client


def address(item: Item, name: str = "asset") -> str:
    return reverse(f"items:{name}", args=[item.project_id, item.asset_id])


def test_members_get_the_bytes_with_headers_that_run_nothing(item: Item, member: Client) -> None:
    response = member.get(address(item))
    assert response.content == image_bytes()
    assert item.asset
    expected = {
        "Content-Type": "image/png",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{item.asset.digest[:16]}.png"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Vary": "Cookie",
    }
    assert {name: response.headers[name] for name in expected} == expected


def test_what_the_browser_has_is_not_sent_again(item: Item, member: Client) -> None:
    etag = member.get(address(item)).headers["ETag"]
    again = member.get(address(item), headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert member.get(address(item), headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_original_is_a_download(item: Item, member: Client) -> None:
    response = member.get(address(item), {"original": ""})
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.content == image_bytes()


def test_a_type_that_browsers_might_run_is_never_inline(item: Item, member: Client) -> None:
    Asset.objects.update(media_type="image/svg+xml")
    for query in ({}, {"original": ""}):
        response = member.get(address(item), query)
        if response.headers["Content-Type"] == "image/svg+xml":
            assert response.headers["Content-Disposition"].startswith("attachment")


def test_a_tiff_is_shown_as_png_and_downloaded_as_it_is(project: Project, member: Client) -> None:
    data = image_bytes(kind="TIFF")
    item = add_image(project, data, "a.tif")
    assert member.get(address(item)).headers["Content-Type"] == "image/png"
    assert member.get(address(item), {"original": ""}).content == data


def test_thumbnails_are_made_when_missing_and_small_images_are_their_own(
    project: Project, item: Item, member: Client
) -> None:
    large = add_image(project, image_bytes((900, 600)), "large.png")
    response = member.get(address(large, "thumbnail"))
    assert response.headers["Content-Type"] == "image/webp"
    assert response.content[:4] == b"RIFF"
    assert member.get(address(item, "thumbnail")).headers["Content-Type"] == "image/png"


def test_a_missing_file_is_said_in_words(item: Item, member: Client) -> None:
    assert item.asset
    files.remove(item.project_id, [item.asset.digest])
    response = member.get(address(item))
    assert response.status_code == 404
    assert "missing on the server" in response.content.decode()


def test_nobody_else_gets_anything(item: Item, client: Client) -> None:
    foreign = make_project(modality="image")
    client.force_login(join(foreign, Role.OWNER))
    for name in ("asset", "thumbnail"):
        assert client.get(address(item, name)).status_code == 404
        assert client.get(reverse(f"items:{name}", args=[foreign.pk, item.asset_id])).status_code == 404
    client.logout()
    assert client.get(address(item)).status_code == 302


def test_large_files_come_in_pieces(item: Item, member: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "AT_ONCE", 10)
    monkeypatch.setattr(downloads, "PIECE", 20)
    response = member.get(address(item))
    assert response.headers["Content-Length"] == str(len(image_bytes()))
    assert b"".join(response.streaming_content) == image_bytes()  # type: ignore[attr-defined]


def test_assets_are_only_read(item: Item, member: Client) -> None:
    assert member.post(address(item)).status_code == 405
