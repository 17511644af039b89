"""Real texts and images for the model tests, made on the spot or read from the shared folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data and weights, or skip."""
    checkout = Path(__file__).parents[2]
    folder = Path(os.environ.get("ANNOTATOR_SHARED", checkout.parent / "shared"))
    if not (folder / "weights").is_dir():
        pytest.skip("the folder of shared data is not on this machine")
    return folder


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Return a maker of overlapping classes: (n, D) normalised features and (n,) labels."""

    def make(n: int, *, classes: int = 4, dim: int = 24, seed: int = 0, spread: float = 1.5):  # type: ignore[no-untyped-def]
        rng = np.random.default_rng(seed)
        centres = np.random.default_rng(99).normal(size=(classes, dim))
        labels = rng.integers(0, classes, n)
        rows = centres[labels] + spread * rng.normal(size=(n, dim)) + 1
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels

    return make


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def stripes(image_folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    """Return 60 small noisy images, upright stripes (0) or lying ones (1), and their classes."""
    rng = np.random.default_rng(4)
    paths, labels = [], np.arange(60) % 2
    for index, label in enumerate(labels):
        wave = np.sin(np.arange(20) * 2 * np.pi / 5 + rng.uniform(0, 6))
        board = np.tile(wave, (20, 1)) if label == 0 else np.tile(wave[:, None], (1, 20))
        noisy = np.clip(128 + 70 * board + 25 * rng.normal(size=(20, 20)), 0, 255).astype(np.uint8)
        paths.append(image_folder / f"stripes-{index}.png")
        Image.fromarray(np.stack([noisy] * 3, axis=2)).save(paths[-1])
    return paths, labels


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return texts of very different lengths, in no order of length."""
    return [
        "The kettle is boiling.",
        "Rain is expected in the north, with sunny spells further south and a light breeze on the coast. "
        * 3,
        "goal!",
        "The striker scored twice in the second half",
        "Shares of the bank fell after the report on interest rates was published on Monday morning.",
        "Il pleut.",
        "A new telescope has found water vapour in the atmosphere of a planet outside the solar system.",
        "The kettle is boiling now, and the tea is ready",
    ]
