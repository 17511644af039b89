"""Small pixels as features: no net, no weights, always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_zoo.encoding import Encoder, Features, OnError, Progress, ShouldStop, digest_of, encode_in_batches
from models_zoo.registry import EncoderSpec, encoder

BATCH = 256
VERSION = 1


class PixelEncoder:
    """The image at a small size, each image standardised by its own mean and spread."""

    def __init__(self, *, size: int, colour: bool) -> None:
        self._size, self._colour = size, colour
        self.dim = size * size * (3 if colour else 1)
        self.digest = digest_of("pixels", {"size": size, "colour": colour, "version": VERSION})

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features:
        """Return normalised rows; an image of one colour is a row of zeros."""
        return encode_in_batches(
            samples,
            dim=self.dim,
            batch_size=BATCH,
            read=self._read,
            compute=self._compute,
            progress=progress,
            should_stop=should_stop,
            on_error=on_error,
        )

    def _read(self, sample: Any) -> NDArray[np.uint8]:
        from models_zoo import data  # Pillow: not when models are listed

        return data.load_pixels(sample, size=self._size, fit="stretch")

    def _compute(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        pixels = np.stack(images).astype(np.float32)
        if not self._colour:
            # Luma as in ITU-R BT.601.
            pixels = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        rows = pixels.reshape(len(images), -1)
        centred: NDArray[np.float32] = rows - rows.mean(axis=1, keepdims=True)
        # Rounding leaves specks on an image of one colour, which the normalisation would blow up.
        centred[np.abs(centred).max(axis=1) < 1e-2] = 0
        return centred


@encoder(
    EncoderSpec(
        key="pixels",
        title="Small pixels",
        advice="For tiny, centred images such as digits and icons; a net is far better for photos.",
        modality="image",
        params={
            "size": {
                "type": "integer",
                "default": 16,
                "minimum": 4,
                "maximum": 64,
                "title": "Size (pixels)",
                "description": "Images are scaled to this width and height.",
            },
            "colour": {
                "type": "boolean",
                "default": False,
                "title": "Colour",
                "description": "Keep red, green and blue instead of the brightness alone.",
            },
        },
        packages=("PIL",),
    )
)
def build(params: Mapping[str, Any], _device: str) -> Encoder:
    """Return the encoder; size x size dimensions, three times that with colour."""
    return PixelEncoder(size=params["size"], colour=params["colour"])
