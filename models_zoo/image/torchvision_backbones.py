"""Pretrained torchvision nets without their last layer, with weights from a file or from torchvision's hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models_zoo.encoding import Encoder
from models_zoo.registry import READY, Availability, EncoderSpec, encoder

# The name of the file on the hub begins with this.
ARCHITECTURES = {
    "mobilenet_v2": "mobilenet_v2-",
    "mobilenet_v3_large": "mobilenet_v3_large-",
    "squeezenet1_1": "squeezenet1_1-",
    "resnet18": "resnet18-",
    "resnet50": "resnet50-",
    "efficientnet_b0": "efficientnet_b0_",
    "convnext_tiny": "convnext_tiny-",
    "vit_b_16": "vit_b_16-",
}


def hub_cache() -> Path:
    """Return the folder of downloaded weights, found as torch.hub finds it."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def probe(params: Mapping[str, Any]) -> Availability:
    """Say whether the weights file exists, or the weights are cached, or would be downloaded."""
    if params["weights"]:
        if Path(params["weights"]).is_file():
            return READY
        return Availability("missing", f"The weights file '{params['weights']}' does not exist.")
    cache = hub_cache()
    if cache.is_dir() and any(cache.glob(ARCHITECTURES[params["architecture"]] + "*.pth")):
        return READY
    return Availability("download", "The weights are downloaded from torchvision's hub when first used.")


@encoder(
    EncoderSpec(
        key="torchvision",
        title="Pretrained image net (torchvision)",
        advice="The default for photos. MobileNet and SqueezeNet are pleasant without a GPU, ResNet-50 and ViT with one.",
        modality="image",
        params={
            "architecture": {
                "type": "string",
                "default": "mobilenet_v2",
                "enum": list(ARCHITECTURES),
                "title": "Net",
                "description": "The architecture; the weights have to fit it.",
            },
            "weights": {
                "type": "string",
                "default": "",
                "maxLength": 1000,
                "format": "path",
                "title": "Weights file",
                "description": "A state_dict (.pt, .pth or .safetensors); empty = torchvision's own, from its hub.",
            },
            "preprocessing": {
                "type": "string",
                "default": "imagenet",
                "enum": ["imagenet", "half"],
                "title": "Colour scaling",
                "description": "What the weights were trained with: 'imagenet' mean and spread, or 'half' (-1 to 1).",
            },
            "size": {
                "type": "integer",
                "default": 224,
                "minimum": 32,
                "maximum": 512,
                "title": "Size (pixels)",
                "description": "Images are scaled to this width and height; smaller is faster. ViT needs 224.",
            },
            "fit": {
                "type": "string",
                "default": "crop",
                "enum": ["crop", "stretch"],
                "title": "Shape",
                "description": "'crop' keeps the middle square, 'stretch' squeezes the whole image into it.",
            },
        },
        packages=("torchvision", "PIL"),
        reference="Sandler et al. 2018, MobileNetV2; He et al. 2016, ResNet; Dosovitskiy et al. 2021, ViT",
        probe=probe,
    )
)
def build(params: Mapping[str, Any], device: str) -> Encoder:
    """Load the net; dimensions are those of its last hidden layer."""
    from models_zoo.image import _backbone  # torch: not at import, so that forms can list models without it

    return _backbone.BackboneEncoder(params, device)
