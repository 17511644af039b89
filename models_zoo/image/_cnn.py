"""The small convolutional net and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models_zoo import checkpoints, data
from models_zoo.device import pick_device
from models_zoo.encoding import (
    Features,
    OnError,
    Progress,
    ShouldStop,
    check_stop,
    digest_of,
    encode_in_batches,
)
from models_zoo.errors import NotEnoughData, NotFitted, SampleError
from models_zoo.objective import one_hot
from models_zoo.weights import state_digest

KIND = "encoder-small-cnn"
BATCH = 64
ENCODE_BATCH = 256
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
VERSION = 1


def network(width: int) -> nn.Sequential:
    """Return three blocks of convolution, each half as large and twice as wide, pooled to 4 x width features."""
    layers: list[nn.Module] = []
    channels = 3
    for index, wide in enumerate((width, 2 * width, 4 * width)):
        layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        if index < 2:
            layers.append(nn.MaxPool2d(2))
        channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class CnnEncoder:
    """Features (n, 4 x width) of the last hidden layer of a net trained on labelled images."""

    def __init__(self, params: Mapping[str, Any], device: str) -> None:
        self._params = {**params, "version": VERSION}
        self._device = pick_device(device)
        self._network: nn.Sequential | None = None
        self.dim = 4 * int(params["width"])
        self.digest = digest_of("small_cnn", self._params, "not fitted")

    def fit(
        self,
        samples: Sequence[Any],
        targets: NDArray[Any] | None = None,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        """Train on images and targets, (n,) class indices or (n, C) booleans; the same data give the same net.

        Raises NotEnoughData with fewer than two classes, SampleError for an image that cannot be read.
        """
        encoded = self._encode_targets(targets, len(samples))
        images = torch.from_numpy(np.stack(self._read_all(samples, should_stop))).permute(0, 3, 1, 2)
        labels = torch.from_numpy(encoded).to(self._device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            body = network(self._params["width"])
            model = nn.Sequential(body, nn.Linear(self.dim, encoded.shape[1])).to(self._device)
            multi = np.asarray(targets).ndim == 2
            self._train(model, images, labels, multi=multi, progress=progress, should_stop=should_stop)
        self._adopt(body)

    def _encode_targets(self, targets: NDArray[Any] | None, count: int) -> NDArray[np.float32]:
        if targets is None or not count:
            raise NotEnoughData("a net trained from scratch needs labelled images")
        labels = np.asarray(targets)
        multi = labels.ndim == 2
        classes = labels.shape[1] if multi else int(labels.max()) + 1
        encoded = one_hot(labels, count, classes, multi=multi)
        if not multi and len(np.unique(labels)) < 2:
            raise NotEnoughData("a net trained from scratch needs labels of at least two classes")
        return encoded

    def _read_all(self, samples: Sequence[Any], should_stop: ShouldStop | None) -> list[NDArray[np.uint8]]:
        images = []
        for index, sample in enumerate(samples):
            check_stop(should_stop)
            try:
                images.append(self._read(sample))
            except SampleError as error:
                raise error.at(index) from error
        return images

    def _train(
        self,
        model: nn.Sequential,
        images: Tensor,
        labels: Tensor,
        *,
        multi: bool,
        progress: Progress | None,
        should_stop: ShouldStop | None,
    ) -> None:
        epochs = int(self._params["epochs"])
        optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        steps = epochs * -(-len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1, 5 * (step + 1) / steps, 1.25 * (1 - step / steps))
        )
        loss_of = nn.BCEWithLogitsLoss() if multi else nn.CrossEntropyLoss()
        model.train()
        for epoch in range(epochs):
            for rows in torch.split(torch.randperm(len(images)), BATCH):
                check_stop(should_stop)
                batch = self._scale(self._augment(images[rows]))
                loss = loss_of(model(batch), labels[rows.to(labels.device)])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)

    def _augment(self, images: Tensor) -> Tensor:
        """Shift the batch by up to an eighth of its size, and mirror half of it where that is asked for."""
        reach = self._params["size"] // 8
        down, right = torch.randint(-reach, reach + 1, (2,)).tolist()
        shifted = torch.roll(images, (down, right), (2, 3))
        if self._params["mirror"]:
            turned = torch.rand(len(images)) < 0.5
            shifted = torch.where(turned[:, None, None, None], shifted.flip(3), shifted)
        return shifted

    def _scale(self, images: Tensor) -> Tensor:
        """Return each image with mean zero and spread one."""
        values = images.to(self._device).float()
        spread, mean = torch.std_mean(values, dim=(1, 2, 3), keepdim=True)
        return (values - mean) / spread.clamp_min(1e-3)

    def _adopt(self, body: nn.Sequential) -> None:
        self._network = body.to(self._device).eval()
        self.digest = digest_of("small_cnn", self._params, state_digest(body.state_dict()))

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features:
        """Return normalised features of image files."""
        self._trained()
        return encode_in_batches(
            samples,
            dim=self.dim,
            batch_size=ENCODE_BATCH,
            read=self._read,
            compute=self._compute,
            progress=progress,
            should_stop=should_stop,
            on_error=on_error,
        )

    def _read(self, sample: Any) -> NDArray[np.uint8]:
        return data.load_pixels(sample, size=self._params["size"])

    @torch.inference_mode()
    def _compute(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        features: NDArray[np.float32] = self._trained()(self._scale(pixels)).float().cpu().numpy()
        return features

    def _trained(self) -> nn.Sequential:
        if self._network is None:
            raise NotFitted("the small convolutional net has to be trained on labels first")
        return self._network

    def save(self, path: Path) -> str:
        """Write the trained net and return the digest of the file's content."""
        state = {name: value.cpu().numpy() for name, value in self._trained().state_dict().items()}
        return checkpoints.write(path, kind=KIND, tensors=state, metadata={"params": self._params})

    def load(self, path: Path) -> None:
        """Take over a saved net, or raise CheckpointError."""
        saved = checkpoints.read(path, kind=KIND)
        self._params = saved.metadata["params"]
        self.dim = 4 * int(self._params["width"])
        body = network(self._params["width"])
        body.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in saved.tensors.items()}
        )
        self._adopt(body)
