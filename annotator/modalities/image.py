"""Images: recognised by content, decoded once within limits, measured as they are seen (EXIF orientation applied)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from annotator.modalities.errors import ModalityError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 80_000_000  # below Pillow's own warning, so that ours is the limit people meet
MAX_SIDE = 65_500
THUMBNAIL_SIDE = 256
DISPLAY_SIDE = 4096
# An image that needs no smaller picture of itself has at most this many bytes.
SMALL_BYTES = 100_000
MAX_PROFILE = 64 * 2**10
STRIP = 256  # rows of a scientific image that are stretched at a time
ORIENTATION = 0x0112
SIDEWAYS = frozenset({5, 6, 7, 8})
TURNS: Mapping[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
# A JPEG with more pictures behind it, as telephones write them: the first one is the photograph.
CONTAINERS = {"MPO": "JPEG"}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# What every browser draws; anything else is shown as a PNG made from it.
SHOWN_BY_BROWSERS = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"})

Source = bytes | Path


@dataclass(frozen=True)
class ImageInfo:
    """`width` and `height` in pixels as a viewer sees them; of several `frames`, the first is what is labelled."""

    media_type: str
    size: int
    width: int
    height: int
    frames: int = 1

    @property
    def shown_as_it_is(self) -> bool:
        """Whether every browser draws the file itself, and nothing but its first frame."""
        return self.media_type in SHOWN_BY_BROWSERS and self.frames == 1

    @property
    def own_thumbnail(self) -> bool:
        """Whether the image is so small that it is its own thumbnail."""
        small = max(self.width, self.height) <= THUMBNAIL_SIDE and self.size <= SMALL_BYTES
        return small and self.shown_as_it_is


@dataclass(frozen=True)
class Examined:
    """What one decoding gives: the facts, and the pictures that were asked for and are needed."""

    info: ImageInfo
    thumbnail: bytes | None = None
    display: bytes | None = None


def probe(source: Source) -> ImageInfo:
    """What the bytes are, after decoding them completely; ModalityError for anything that is not a whole image."""
    return examine(source, thumbnail=False, display=False).info


def examine(source: Source, *, thumbnail: bool = True, display: bool = True) -> Examined:
    """Decode once: the facts and, where wanted and needed, a WebP of THUMBNAIL_SIDE and a PNG of DISPLAY_SIDE.

    Both pictures are upright. ModalityError for anything that is not a whole image. Call it on bytes of strangers
    only through `annotator.modalities.decoding`, which gives it a process with limits.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size == 0:
        raise ModalityError("The file is empty.")
    if size > MAX_BYTES:
        raise ModalityError(f"The file is too large: {size:,} bytes, {MAX_BYTES:,} are allowed.")
    with _decoding():
        with _open(source) as image:
            image.verify()
        # verify() leaves the image unusable and does not look at the pixels.
        with _open(source) as image:
            image.load()
            info = _facts(image, size)
            small = large = None
            if display and not info.shown_as_it_is:
                large = _encoded(_shrunk(image, DISPLAY_SIDE), "PNG")
            if thumbnail and not info.own_thumbnail:
                small = _encoded(_shrunk(image, THUMBNAIL_SIDE), "WEBP")
    return Examined(info, small, large)


def thumbnail(source: Source, side: int = THUMBNAIL_SIDE) -> bytes:
    """A WebP of at most `side` pixels each way, upright."""
    with _decoding(), _open(source) as image:
        image.draft("RGB", (side * 2, side * 2))  # JPEGs are decoded at a smaller scale
        return _encoded(_shrunk(image, side), "WEBP")


def display(source: Source) -> bytes:
    """A PNG for browsers that do not know the format; at most DISPLAY_SIDE pixels each way, upright."""
    with _decoding(), _open(source) as image:
        return _encoded(_shrunk(image, DISPLAY_SIDE), "PNG")


def _facts(image: Image.Image, size: int) -> ImageInfo:
    kind = image.format or ""
    frames = 1 if kind in CONTAINERS else int(getattr(image, "n_frames", 1))
    width, height = image.size
    if image.getexif().get(ORIENTATION) in SIDEWAYS:
        width, height = height, width
    return ImageInfo(MEDIA_TYPES[CONTAINERS.get(kind, kind)], size, width, height, frames)


def _open(source: Source) -> Image.Image:
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=list(MEDIA_TYPES))
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        image.close()
        raise ModalityError(f"The image is too large: {width:,} × {height:,} pixels.")
    return image


@contextmanager
def _decoding() -> Iterator[None]:
    """What decoders raise on broken files, as one error."""
    try:
        yield
    except UnidentifiedImageError:
        names = ", ".join(name for name in MEDIA_TYPES)
        raise ModalityError(f"This is not an image that can be read ({names}).") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ModalityError("The image is too large: it would unpack to more pixels than allowed.") from None
    except ModalityError:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
        IndexError,
        KeyError,
        OverflowError,
    ) as error:
        raise ModalityError(f"The image is damaged: {str(error)[:200] or type(error).__name__}.") from None
    except (struct.error, zlib.error) as error:
        raise ModalityError(f"The image is damaged: {error}.") from None


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """The first frame in a mode that the web formats hold, at most `side` pixels each way, upright.

    Shrunk before it is turned: another copy of all its pixels might be more than the memory there is.
    """
    drawable = _drawable(image)
    scale = min(1.0, side / max(drawable.size))
    width, height = (max(1, round(length * scale)) for length in drawable.size)
    small = drawable.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    upright = small if turn is None else small.transpose(turn)
    # A profile belongs to the colours it was made for, and a broken one is worse than none.
    profile = image.info.get("icc_profile") or b""
    fits = drawable.mode == image.mode and len(profile) <= MAX_PROFILE and profile[36:40] == b"acsp"
    upright.info = {"icc_profile": profile} if fits else {}
    return upright


def _drawable(image: Image.Image) -> Image.Image:
    """The same pixels in grey, RGB or RGBA; the image itself where it is that already."""
    transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    if image.mode in ("L", "RGB", "RGBA") and not transparent:
        return image
    if image.mode.startswith(("I", "F")):
        return _stretched(image)
    return image.convert("RGBA" if transparent else "RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """Scientific images use any range: what is there becomes grey, a strip at a time, for they are large."""
    width, height = image.size
    low, high = np.inf, -np.inf
    for top in range(0, height, STRIP):
        strip = _strip(image, top)
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    grey = Image.new("L", (width, height))
    scale = 255.0 / (high - low) if high > low else 0.0
    for top in range(0, height, STRIP):
        values = np.nan_to_num((_strip(image, top) - low) * scale, nan=0.0, posinf=255.0, neginf=0.0)
        grey.paste(Image.fromarray(values.clip(0, 255).astype(np.uint8)), (0, top))
    return grey


def _strip(image: Image.Image, top: int) -> npt.NDArray[np.float64]:
    part = image.crop((0, top, image.width, min(top + STRIP, image.height)))
    return np.asarray(part, dtype=np.float64)


def _encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 3} if kind == "PNG" else {"quality": 80, "method": 2}
    image.save(out, kind, icc_profile=image.info.get("icc_profile"), **options)
    return out.getvalue()
