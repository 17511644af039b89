"""Images from files to arrays: upright, RGB, the size a net wants. Bad files become SampleError."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models_zoo.errors import SampleError

Fit = Literal["crop", "stretch"]
MAX_PIXELS = 80_000_000


def open_image(path: Any, *, smallest: int = 0, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the image at `path` as RGB with its EXIF orientation applied; transparent parts become white.

    JPEGs may be decoded at a fraction of their size, not below `smallest` pixels a side. Raises SampleError for
    anything that is no image, is cut short, or has more than `max_pixels`.
    """
    if not isinstance(path, str | Path):
        raise SampleError(f"expected the path of an image, got {type(path).__name__}")
    name = Path(path).name
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise SampleError(f"{name} has {width} x {height} pixels; at most {max_pixels} are read")
            if smallest:
                image.draft("RGB", (smallest, smallest))
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SampleError(f"{name} has too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise SampleError(f"{name} is no image that can be read") from error
    # Pillow's decoders raise any of these for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise SampleError(f"{name} cannot be decoded: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Return any mode as RGB: 16 bit scaled to 8, transparency laid on white."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint16) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        values = np.asarray(image, dtype=np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scaled = np.nan_to_num((values - low) * (255 / max(high - low, 1e-12)))
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        upper = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(canvas, upper).convert("RGB")
    return image.convert("RGB")


def fit_square(image: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """Return the image as `size` x `size`: 'crop' keeps the middle, 'stretch' keeps all and changes the shape."""
    if image.size == (size, size):
        return image
    if fit == "stretch":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def load_pixels(path: Any, *, size: int, fit: Fit = "crop") -> NDArray[np.uint8]:
    """Return the image at `path` as (size, size, 3) bytes, or raise SampleError."""
    return np.array(fit_square(open_image(path, smallest=2 * size), size, fit), dtype=np.uint8)
