"""Images as the world has them: each is taken and measured as people see it, or refused in words."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from annotator.modalities import decoding
from annotator.modalities.errors import ModalityError
from tests.modalities.images import image_bytes, png_claiming


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def noise(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    return Image.effect_noise(size, 80).convert(mode)


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def corners(picture: Image.Image) -> list[str]:
    """Which corner is red and which is blue, by their strongest channel."""
    width, height = picture.size
    places = {"tl": (4, 4), "tr": (width - 5, 4), "bl": (4, height - 5), "br": (width - 5, height - 5)}
    rgb = picture.convert("RGB")
    pixels = {name: rgb.getpixel(place) for name, place in places.items()}
    red = max(pixels, key=lambda n: pixels[n][0] - pixels[n][2])  # type: ignore[index,operator]
    blue = max(pixels, key=lambda n: pixels[n][2] - pixels[n][0])  # type: ignore[index,operator]
    return [red, blue]


def marked(kind: str, orientation: int) -> bytes:
    """A wide picture, red at its top left and blue at its top right, as a camera held so stores it."""
    upright = Image.new("RGB", (600, 300), "grey")
    upright.paste("red", (0, 0, 150, 100))
    upright.paste("blue", (450, 0, 600, 100))
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(upright if undo is None else upright.transpose(undo), kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_measured_and_shown_upright(kind: str, orientation: int) -> None:
    found = decoding.examine(marked(kind, orientation))
    assert (found.info.width, found.info.height) == (600, 300)
    small = opened(found.thumbnail)
    assert small.size == (256, 128)
    assert corners(small) == ["tl", "tr"]
    if kind == "TIFF":
        assert corners(opened(found.display)) == ["tl", "tr"]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_mean_nothing_turn_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    info = decoding.examine(saved(noise((60, 30)), "JPEG", exif=exif)).info
    assert (info.width, info.height) == (60, 30)


def test_sixteen_bits_are_stretched_and_not_cut_off() -> None:
    values = np.linspace(1_000, 60_000, 600 * 400).reshape(400, 600).astype(np.uint16)
    small = np.asarray(opened(decoding.examine(saved(Image.fromarray(values), "PNG")).thumbnail).convert("L"))
    assert small[:5].max() < 10
    assert small[-5:].min() > 245
    assert 100 < small[small.shape[0] // 2].mean() < 155


def test_a_float_tiff_with_nan_and_infinity_is_shown() -> None:
    values = np.linspace(-3.0, 5.0, 600 * 400, dtype=np.float32).reshape(400, 600)
    values[0, :3] = [np.nan, np.inf, -np.inf]
    found = decoding.examine(saved(Image.fromarray(values), "TIFF"))
    shown = np.asarray(opened(found.display))
    assert shown[1].max() < 5
    assert shown[-1].min() > 250
    only_nan = Image.fromarray(np.full((4, 6), np.nan, dtype=np.float32))
    assert opened(decoding.examine(saved(only_nan, "TIFF")).display).size == (6, 4)


@pytest.mark.parametrize(
    ("mode", "kind", "colour"),
    [
        ("CMYK", "JPEG", (0, 255, 255, 0)),
        ("CMYK", "TIFF", (0, 255, 255, 0)),
        ("YCbCr", "JPEG", (76, 85, 255)),
        ("LAB", "TIFF", (136, 208, 195)),
    ],
)
def test_other_colour_spaces_are_shown_in_colours(mode: str, kind: str, colour: Any) -> None:
    found = decoding.examine(saved(Image.new(mode, (600, 400), colour), kind))
    red, green, blue = opened(found.thumbnail).convert("RGB").getpixel((100, 100))  # type: ignore[misc]
    assert red > 200 > 90 > max(green, blue)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "RGB"])
def test_every_mode_of_a_png_has_a_thumbnail(mode: str) -> None:
    found = decoding.examine(saved(Image.new(mode, (600, 300), 0), "PNG"))
    assert opened(found.thumbnail).size == (256, 128)


def test_transparency_of_a_palette_and_of_a_colour_is_kept() -> None:
    palette = noise((600, 300)).quantize(8)
    palette.paste(3, (0, 0, 200, 200))
    for data in (
        saved(palette, "PNG", transparency=3),
        saved(palette, "GIF", transparency=3),
        saved(Image.new("RGB", (600, 300), (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
        saved(Image.new("LA", (600, 300), (9, 0)), "PNG"),
    ):
        small = opened(decoding.examine(data).thumbnail)
        assert small.mode == "RGBA"
        assert small.getpixel((5, 5))[3] < 20  # type: ignore[index]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_what_people_see(kind: str) -> None:
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    found = decoding.examine(data)
    assert found.info.frames == 3
    assert not found.info.shown_as_it_is
    for made in (found.thumbnail, found.display):
        shown = opened(made)
        assert getattr(shown, "n_frames", 1) == 1
        assert shown.convert("RGB").getpixel((40, 30))[0] > 200  # type: ignore[index]


def test_of_a_tiff_with_pages_the_first_is_what_people_see() -> None:
    data = saved(Image.new("RGB", (80, 60), "red"), "TIFF", save_all=True, append_images=[noise((10, 10))])
    found = decoding.examine(data)
    assert (found.info.frames, found.info.width, found.info.height) == (2, 80, 60)


def test_a_telephones_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    data = saved(noise((80, 60)), "MPO", save_all=True, append_images=[noise((20, 10))])
    info = decoding.examine(data).info
    assert (info.media_type, info.frames, info.width, info.height) == ("image/jpeg", 1, 80, 60)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_what_breaks_off_is_refused_wherever_it_does(kind: str, share: float) -> None:
    data = saved(noise(), kind)
    with pytest.raises(ModalityError, match=r"damaged|not an image"):
        decoding.examine(data[: int(len(data) * share)])


def test_an_empty_file_and_files_of_nuls_are_refused() -> None:
    with pytest.raises(ModalityError, match="empty"):
        decoding.examine(b"")
    with pytest.raises(ModalityError, match="not an image"):
        decoding.examine(b"\0" * 4096)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_hundred_megapixels_are_refused_before_they_are_decoded() -> None:
    for data in (png_claiming(10_000, 10_000), saved(Image.new("1", (10_000, 10_000)), "TIFF")):
        with pytest.raises(ModalityError, match="too large: 10,000 × 10,000 pixels"):
            decoding.examine(data)


def test_bombs_of_every_kind_are_refused() -> None:
    """Files of some hundred bytes that promise gigapixels, or whose texts unpack to gigabytes."""
    bomb = zlib.compress(b"a" * 100_000_000)
    text = image_bytes()
    with_text = text[:33] + chunk(b"zTXt", b"Comment\0\0" + bomb) + text[33:]
    gif = bytearray(saved(noise((8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    tiff = saved(Image.new("1", (8, 8)), "TIFF")
    webp_header = struct.pack("<I", 0x2F | (16_383 << 8) | (16_383 << 22) & 0xFFFFFFFF)
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f" + b"\xff" * 9
    for data in (png_claiming(65_000, 65_000), with_text, bytes(gif), webp, webp_header):
        with pytest.raises(ModalityError):
            decoding.examine(data)
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHI", tag, 4, 1)) if struct.pack("<HHI", tag, 4, 1) in tiff else -1
        kind = 4 if at >= 0 else 3
        at = at if at >= 0 else tiff.index(struct.pack("<HHI", tag, 3, 1))
        forged = bytearray(tiff)
        forged[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 60_000_000) if kind else b""
        with pytest.raises(ModalityError):
            decoding.examine(bytes(forged))


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><svg/>",
        b"<html><img src=x onerror=alert(1)></html>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"#define x_width 16\n#define x_height 16\nstatic char x_bits[] = {0};",
        b"PK\x03\x04" + b"\0" * 40,
        b"P6 1 1 255 abc",
    ],
)
def test_files_that_other_programs_run_or_draw_are_no_images(data: bytes) -> None:
    with pytest.raises(ModalityError, match="not an image"):
        decoding.examine(data)


def test_a_polyglot_is_what_its_image_says() -> None:
    """The bytes behind a whole image are nobody's business: they are never served as anything but that image."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.html", "<script>alert(1)</script>")
    for kind in ("GIF", "PNG", "JPEG"):
        info = decoding.examine(image_bytes(kind=kind) + b"<script>alert(1)</script>" + out.getvalue()).info
        assert info.media_type == f"image/{kind.lower()}"


def test_broken_and_huge_profiles_and_exif_do_no_harm() -> None:
    picture = noise((600, 300))
    cases = {
        "broken profile": saved(picture, "JPEG", icc_profile=b"\0" * 200),
        "huge profile": saved(picture, "JPEG", icc_profile=b"x" * 3_000_000),
        "huge exif": saved(picture, "PNG", exif=b"Exif\0\0MM\0*" + b"\xff" * 2_000_000),
        "broken exif": saved(picture, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"),
        "looping exif": saved(picture, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x08\0\0\0"),
    }  # fmt: skip
    for name, data in cases.items():
        found = decoding.examine(data)
        assert found.thumbnail is not None, name
        assert len(found.thumbnail) < 100_000, name
        assert "icc_profile" not in opened(found.thumbnail).info, name


def test_a_png_whose_profile_unpacks_to_megabytes_is_refused() -> None:
    with pytest.raises(ModalityError, match="too large"):
        decoding.examine(saved(noise(), "PNG", icc_profile=b"x" * 3_000_000))


def test_a_sound_profile_stays_with_its_colours() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = decoding.examine(saved(noise((600, 300)), "JPEG", icc_profile=profile))
    assert opened(found.thumbnail).info["icc_profile"] == profile


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(saved(noise(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(ModalityError, match="damaged"):
        decoding.examine(bytes(data))


def test_texts_in_an_image_are_only_bytes() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "=cmd|' /C calc'!A0 \u202e")
    assert decoding.examine(saved(noise(), "PNG", pnginfo=info)).info.media_type == "image/png"
