"""The encoder around a torchvision net: load strictly, take off the classifier, run in batches."""

from __future__ import annotations

import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models_zoo import data, torchvision_ops
from models_zoo.device import pick_device
from models_zoo.encoding import Features, OnError, Progress, ShouldStop, digest_of, encode_in_batches
from models_zoo.errors import InvalidParameters, ModelUnavailable
from models_zoo.weights import read_state, state_digest

# Mean and spread of the channels, for values between 0 and 1.
SCALES = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
BATCH = 16
BATCH_CUDA = 128
VERSION = 1
_HINT = "Give a weights file of this architecture; this machine may have no network."


def load_network(architecture: str, weights: str) -> nn.Module:
    """Return the whole classifier with weights from the file, or from torchvision's hub if `weights` is empty."""
    torchvision_ops.import_torchvision()
    from torchvision import models  # only after the guard above

    if weights:
        state = read_state(Path(weights))
    else:
        published = models.get_model_weights(architecture)["DEFAULT"]
        try:
            state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise ModelUnavailable(
                f"the weights of {architecture} could not be downloaded: {error}", hint=_HINT
            ) from error
    classes = _count_classes(state, architecture)
    network: nn.Module = models.get_model(architecture, weights=None, num_classes=classes)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        detail = str(error).splitlines()[0]
        raise ModelUnavailable(f"the weights do not fit {architecture}: {detail}", hint=_HINT) from error
    return network.float().eval()


def _count_classes(state: Mapping[str, Tensor], architecture: str) -> int:
    """Return the number of outputs: nets trained further on other classes are welcome."""
    from torchvision import models  # only after the guard above

    with torch.device("meta"):
        shape_only = models.get_model(architecture, weights=None)
    last = [name for name in shape_only.state_dict() if name.endswith(".bias")][-1]
    return len(state[last]) if last in state and state[last].ndim == 1 else 1000


def feature_network(architecture: str, network: nn.Module) -> nn.Module:
    """Return the net with its classifier taken off: images (n, 3, s, s) to pooled features (n, dim)."""
    family = architecture.split("_")[0]
    if family == "squeezenet1":
        network.classifier = nn.AdaptiveAvgPool2d(1)
    elif family.startswith("resnet"):
        network.fc = nn.Identity()
    elif family == "vit":
        network.heads = nn.Identity()
    elif family == "convnext":
        classifier = network.classifier
        assert isinstance(classifier, nn.Sequential)
        classifier[-1] = nn.Identity()
    else:
        network.classifier = nn.Identity()
    return network


class BackboneEncoder:
    """Pooled features of the last hidden layer, L2-normalised."""

    def __init__(self, params: Mapping[str, Any], device: str) -> None:
        if params["architecture"] == "vit_b_16" and params["size"] != 224:
            raise InvalidParameters("torchvision: size: vit_b_16 takes 224 pixels only")
        self._size, self._fit = params["size"], params["fit"]
        self._device = pick_device(device)
        network = load_network(params["architecture"], params["weights"])
        described = {name: params[name] for name in ("architecture", "preprocessing", "size", "fit")}
        self.digest = digest_of(
            "torchvision", described | {"version": VERSION}, state_digest(network.state_dict())
        )
        self._network = feature_network(params["architecture"], network).to(self._device)
        mean, spread = SCALES[params["preprocessing"]]
        self._mean = torch.tensor(mean, device=self._device).view(3, 1, 1)
        self._spread = torch.tensor(spread, device=self._device).view(3, 1, 1)
        self._batch = BATCH if self._device.type == "cpu" else BATCH_CUDA
        self.dim = self._run(torch.zeros(1, 3, self._size, self._size, dtype=torch.uint8)).shape[1]

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features:
        """Return normalised features of image files."""
        return encode_in_batches(
            samples,
            dim=self.dim,
            batch_size=self._batch,
            read=lambda path: data.load_pixels(path, size=self._size, fit=self._fit),
            compute=self._compute,
            progress=progress,
            should_stop=should_stop,
            on_error=on_error,
        )

    def _compute(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        features: NDArray[np.float32] = self._run(pixels).cpu().numpy()
        return features

    @torch.inference_mode()
    def _run(self, pixels: Tensor) -> Tensor:
        values = pixels.to(self._device).float().div(255)
        features: Tensor = self._network((values - self._mean) / self._spread)
        return features.flatten(1).float()
