from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from annotator.modalities import image
from annotator.modalities.errors import ModalityError
from tests.modalities.images import image_bytes, png_claiming


@pytest.mark.parametrize("kind", sorted(image.MEDIA_TYPES))
def test_the_media_type_comes_from_the_content(kind: str) -> None:
    data = image_bytes(kind=kind)
    info = image.probe(data)
    assert (info.media_type, info.width, info.height, info.size) == (image.MEDIA_TYPES[kind], 6, 4, len(data))


def test_a_file_on_disk_is_probed_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(image_bytes(kind="PNG"))
    assert image.probe(path).media_type == "image/png"


@pytest.mark.parametrize(("orientation", "size"), [(1, (6, 4)), (3, (6, 4)), (6, (4, 6)), (8, (4, 6))])
def test_width_and_height_are_as_seen(orientation: int, size: tuple[int, int]) -> None:
    info = image.probe(image_bytes(kind="JPEG", exif=orientation))
    assert (info.width, info.height) == size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_truncated_image_is_refused(kind: str) -> None:
    noise = Image.effect_noise((64, 64), 80)
    out = io.BytesIO()
    noise.save(out, kind)
    with pytest.raises(ModalityError):
        image.probe(out.getvalue()[: len(out.getvalue()) // 2])


@pytest.mark.parametrize(
    "data", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\0" * 100]
)
def test_what_is_no_raster_image_is_refused(data: bytes) -> None:
    with pytest.raises(ModalityError, match="not an image"):
        image.probe(data)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ModalityError, match="empty"):
        image.probe(b"")


@pytest.mark.parametrize(
    ("width", "height"), [(9_000, 9_000), (12_000, 12_000), (60_000, 60_000), (70_000, 10)]
)
def test_an_image_that_promises_too_many_pixels_is_not_decoded(width: int, height: int) -> None:
    with pytest.raises(ModalityError, match="too large"):
        image.probe(png_claiming(width, height))


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    with pytest.raises(ModalityError, match="too large"):
        image.probe(image_bytes())


def test_a_thumbnail_is_small_and_upright() -> None:
    data = image.thumbnail(image_bytes((900, 300), "JPEG", exif=6), 90)
    with Image.open(io.BytesIO(data)) as small:
        assert small.format == "WEBP"
        assert small.size == (30, 90)


@pytest.mark.parametrize(
    ("mode", "kind", "colour"),
    [
        ("1", "PNG", 1),
        ("P", "PNG", 3),
        ("LA", "PNG", (9, 9)),
        ("RGBA", "PNG", (9, 9, 9, 9)),
        ("I;16", "PNG", 40_000),
        ("F", "TIFF", 0.5),
        ("CMYK", "JPEG", (9, 9, 9, 9)),
        ("L", "BMP", 7),
    ],
)
def test_every_mode_has_a_thumbnail_and_a_display(mode: str, kind: str, colour: object) -> None:
    data = image_bytes(kind=kind, mode=mode, colour=colour)
    for made in (image.thumbnail(data), image.display(data)):
        with Image.open(io.BytesIO(made)) as shown:
            assert shown.size == (6, 4)


def test_a_broken_image_has_no_thumbnail_but_an_error() -> None:
    with pytest.raises(ModalityError):
        image.thumbnail(b"nothing")
