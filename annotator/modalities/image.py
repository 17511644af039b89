"""Images: recognised by content, decoded once within limits, measured as they are seen (EXIF orientation applied)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from annotator.modalities.errors import ModalityError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 80_000_000  # below Pillow's own warning, so that ours is the limit people meet
MAX_SIDE = 65_500
THUMBNAIL_SIDE = 256
DISPLAY_SIDE = 4096
ORIENTATION = 0x0112
SIDEWAYS = frozenset({5, 6, 7, 8})

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# What every browser draws; anything else is shown as a PNG made from it.
SHOWN_BY_BROWSERS = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"})

Source = bytes | Path


@dataclass(frozen=True)
class ImageInfo:
    """`width` and `height` in pixels as a viewer sees them."""

    media_type: str
    size: int
    width: int
    height: int


def probe(source: Source) -> ImageInfo:
    """What the bytes are, after decoding them completely; ModalityError for anything that is not a whole image."""
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
            width, height = image.size
            if image.getexif().get(ORIENTATION) in SIDEWAYS:
                width, height = height, width
            media_type = MEDIA_TYPES[image.format or ""]
    return ImageInfo(media_type=media_type, size=size, width=width, height=height)


def thumbnail(source: Source, side: int = THUMBNAIL_SIDE) -> bytes:
    """A WebP of at most `side` pixels each way, upright."""
    with _decoding(), _open(source) as image:
        image.draft("RGB", (side * 2, side * 2))  # JPEGs are decoded at a smaller scale
        small = _drawable(image)
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


def display(source: Source) -> bytes:
    """A PNG for browsers that do not know the format; at most DISPLAY_SIDE pixels each way, upright."""
    with _decoding(), _open(source) as image:
        shown = _drawable(image)
        shown.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        shown.save(out, "PNG")
    return out.getvalue()


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


def _drawable(image: Image.Image) -> Image.Image:
    """The first frame, upright, in a mode that the web formats can hold."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("L", "RGB", "RGBA"):
        return upright
    if upright.mode.startswith(("I", "F")):
        # Scientific images use any range: stretch what is there to grey.
        values = np.asarray(upright, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) * (255.0 / max(high - low, 1e-9))).astype(np.uint8))
    transparent = upright.mode in ("LA", "PA", "La") or "transparency" in upright.info
    return upright.convert("RGBA" if transparent else "RGB")
