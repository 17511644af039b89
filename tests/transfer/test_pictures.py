"""Images through the import: what is kept of them, what people see, and what a bad one does to the others."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django.fixtures import Settings

from annotator.items import files
from annotator.items.models import Asset, Item
from annotator.modalities import decoding
from annotator.projects.models import Project
from tests.factories import make_project
from tests.modalities.images import image_bytes, png_claiming
from tests.transfer.makers import run, upload, zip_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(settings: Settings, tmp_path: Path) -> Project:
    settings.MEDIA_ROOT = tmp_path
    return make_project(modality="image")


def animation() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def test_of_an_animation_people_see_the_first_frame_and_read_how_many_there_are(
    project: Project, client: Client
) -> None:
    run(project, upload("a.gif", animation()))
    item = Item.objects.get()
    assert item.meta == {"frames": 3, "shown": "the first frame"}
    assert item.asset
    assert item.asset.frames == 3
    client.force_login(project.created_by)
    for name in ("asset", "thumbnail"):
        response = client.get(reverse(f"items:{name}", args=[project.pk, item.asset_id]))
        shown = Image.open(io.BytesIO(response.content))
        assert getattr(shown, "n_frames", 1) == 1
        assert shown.convert("RGB").getpixel((20, 15))[0] > 200  # type: ignore[index]
    original = client.get(reverse("items:asset", args=[project.pk, item.asset_id]), {"original": ""})
    assert original.content == animation()


def test_the_pictures_of_an_animation_come_back_when_their_folder_was_emptied(
    project: Project, client: Client
) -> None:
    run(project, upload("a.gif", animation()))
    asset = Asset.objects.get()
    for path_of in (files.display_path, files.thumbnail_path):
        path_of(project.pk, asset.digest).unlink()
    client.force_login(project.created_by)
    assert (
        client.get(reverse("items:asset", args=[project.pk, asset.pk])).headers["Content-Type"] == "image/png"
    )
    assert files.thumbnail_path(project.pk, asset.digest).exists()


def test_an_image_that_ends_the_decoder_is_one_error_among_good_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = decoding.Child.examine
    deadly = image_bytes((77, 7))

    def dying(child: decoding.Child, data: bytes, **options: bool | float) -> object:
        if data == deadly:
            child._process.kill()
        return whole(child, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding.Child, "examine", dying)
    archive = zip_bytes(
        {
            "a.png": image_bytes(),
            "b.png": deadly,
            "c.png": image_bytes((5, 5)),
            "d.png": png_claiming(10_000, 10_000),
        }
    )
    record, _ = run(project, upload("a.zip", archive))
    assert list(Item.objects.order_by("row").values_list("external_id", flat=True)) == ["a.png", "c.png"]
    words = record.errors_path.read_text()
    assert decoding.CRASHED in words
    assert "too large: 10,000 × 10,000 pixels" in words


def test_the_same_name_in_two_normal_forms_and_cases(project: Project) -> None:
    names = ["caf\u00e9.png", "cafe\u0301.png", "CAF\u00c9.png", "a/same.png", "b/same.png", "a/same.jpg"]
    archive = zip_bytes({name: image_bytes((n + 1, 2)) for n, name in enumerate(names)})
    record, _ = run(project, upload("a.zip", archive), folder_labels=False)
    assert (record.counts["created"], record.counts["rejected"]) == (5, 1)
    assert "taken by an item with other content" in record.errors_path.read_text()
