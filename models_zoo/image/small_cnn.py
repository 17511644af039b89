"""A small net trained from scratch on the project's own labels: for images that pretrained nets do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models_zoo.encoding import Encoder
from models_zoo.registry import EncoderSpec, encoder


@encoder(
    EncoderSpec(
        key="small_cnn",
        title="Small convolutional net (trained here)",
        advice=(
            "For small images unlike photos, once there are hundreds of labels. It is trained on labels: keep those "
            "of the evaluation share out, or its accuracy is overstated."
        ),
        modality="image",
        params={
            "size": {
                "type": "integer",
                "default": 32,
                "minimum": 8,
                "maximum": 128,
                "title": "Size (pixels)",
                "description": "Images are scaled to this width and height; twice the size takes four times as long.",
            },
            "width": {
                "type": "integer",
                "default": 32,
                "minimum": 8,
                "maximum": 128,
                "title": "Width",
                "description": "Channels of the first layer; features have four times as many dimensions.",
            },
            "epochs": {
                "type": "integer",
                "default": 20,
                "minimum": 1,
                "maximum": 500,
                "title": "Epochs",
                "description": "How often each labelled image is seen.",
            },
            "mirror": {
                "type": "boolean",
                "default": False,
                "title": "Mirror",
                "description": "Also show images mirrored; wrong for digits, letters and signs.",
            },
        },
        needs_fit="labels",
        packages=("PIL",),
        reference="Ioffe and Szegedy 2015, Batch normalization; Smith and Topin 2019, Super-convergence",
    )
)
def build(params: Mapping[str, Any], device: str) -> Encoder:
    """Return an encoder that has to be trained, or loaded, before it encodes."""
    from models_zoo.image import _cnn  # torch: not at import, so that forms can list models without it

    return _cnn.CnnEncoder(params, device)
