"""Real labelled sets with splits of their own, read in place from the folder `ANNOTATOR_SHARED`, and their features."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models_zoo import registry
from models_zoo.encoding import Encoder, digest_of

Modality = Literal["text", "image"]
Ints = npt.NDArray[np.int64]
Halves = npt.NDArray[np.float16]
ROOT = Path(__file__).resolve().parent.parent
# Of texts the column of the class, of images the archive.
TEXTS = {"agnews": "label", "trec": "label", "banking77": "category"}
IMAGES = {"trashnet": "trashnet.zip", "cifar10": "cifar10_subset.zip"}
NAMES = (*TEXTS, *IMAGES)
WEIGHTS = "mobilenet_v2_imagenet_fp16.pt"


class DataMissing(FileNotFoundError):
    """The data set is not on this machine."""


@dataclass(frozen=True, eq=False)
class Part:
    """samples (n,): texts, or names of members of the archive; targets (n,): indices of classes."""

    samples: tuple[str, ...]
    targets: Ints

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Its official classes, training and test part. `digest`: sha256 of the content of its files."""

    name: str
    modality: Modality
    classes: tuple[str, ...]
    train: Part
    test: Part
    digest: str
    archive: Path | None = None

    @contextmanager
    def readable(self, part: Part) -> Iterator[Sequence[str | Path]]:
        """Samples as an encoder reads them: texts, or paths of files that exist inside the block only."""
        if self.archive is None:
            yield part.samples
            return
        with tempfile.TemporaryDirectory(prefix="annotator-images-") as folder:
            with zipfile.ZipFile(self.archive) as archive:
                paths = [Path(archive.extract(name, folder)) for name in part.samples]
            yield paths


def shared_folder() -> Path:
    """Where real data and weights lie; it need not exist."""
    return Path(os.environ.get("ANNOTATOR_SHARED") or ROOT.parent / "shared").resolve()


def load(name: str, folder: Path | None = None) -> DataSet:
    """The data set of that name, or DataMissing; ValueError for a name that is none of NAMES."""
    if name not in NAMES:
        raise ValueError(f"There is no data set '{name}'; there are {', '.join(NAMES)}.")
    data = (folder or shared_folder()) / "data"
    try:
        return _texts(name, data / "text" / name) if name in TEXTS else _images(name, data / "images" / name)
    except FileNotFoundError as error:
        raise DataMissing(
            f"The data set '{name}' is not under {data.parent}; ANNOTATOR_SHARED names that folder."
        ) from error


def _texts(name: str, folder: Path) -> DataSet:
    contents = [(folder / f"{part}.csv").read_bytes() for part in ("train", "test")]
    tables = [list(csv.DictReader(io.StringIO(raw.decode("utf-8"), newline=""))) for raw in contents]
    column = TEXTS[name]
    classes = tuple(sorted({row[column] for table in tables for row in table}))
    train, test = (
        _part([row["text"] for row in table], [row[column] for row in table], classes) for table in tables
    )
    return DataSet(name, "text", classes, train, test, _digest(*contents))


def _images(name: str, folder: Path) -> DataSet:
    path = folder / IMAGES[name]
    with zipfile.ZipFile(path) as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode("utf-8"), newline="")))
        classes = tuple(archive.read("classes.txt").decode("utf-8").split())
    parts = {split: [row for row in table if row["split"] == split] for split in ("train", "test")}
    train, test = (
        _part([row["path"] for row in rows], [row["class"] for row in rows], classes)
        for rows in parts.values()
    )
    return DataSet(name, "image", classes, train, test, _digest(path.read_bytes()), archive=path)


def _part(samples: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Part:
    index = {label: number for number, label in enumerate(classes)}
    return Part(tuple(samples), np.array([index[label] for label in labels], dtype=np.int64))


def _digest(*contents: bytes) -> str:
    state = hashlib.sha256()
    for raw in contents:
        state.update(len(raw).to_bytes(8, "big") + raw)
    return state.hexdigest()


def encoder_choice(modality: Modality) -> tuple[str, dict[str, Any]]:
    """Key and parameters of the encoder that a data set of this modality is measured with."""
    if modality == "text":
        return "minilm", {}
    weights = str(shared_folder() / "weights" / WEIGHTS)
    # These weights were trained on colours from -1 to 1.
    return "torchvision", {"architecture": "mobilenet_v2", "weights": weights, "preprocessing": "half"}


def default_cache() -> Path:
    """In the data folder where the environment names one, else among the temporary files: not in the checkout."""
    home = os.environ.get("ANNOTATOR_HOME")
    return Path(home or tempfile.gettempdir()).resolve() / "annotator-benchmark-features"


def features_of(data: DataSet, cache: Path) -> tuple[Halves, Halves]:
    """Features (n, D) of the training and of the test part, from the cache or computed and put there."""
    key, params = encoder_choice(data.modality)
    encoder = registry.get(key).build(params)
    path = cache / f"{data.name}-{digest_of(data.digest, encoder.digest)[:16]}.npz"
    if not path.exists():
        print(
            f"{data.name}: encoding {len(data.train) + len(data.test):,} samples", file=sys.stderr, flush=True
        )
        train, test = (_encode(encoder, data, part) for part in (data.train, data.test))
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
        np.savez(unfinished, train=train, test=test)
        unfinished.replace(path)
    with np.load(path, allow_pickle=False) as saved:
        return saved["train"], saved["test"]


def _encode(encoder: Encoder, data: DataSet, part: Part) -> Halves:
    with data.readable(part) as samples:
        return encoder.encode(samples).astype(np.float16)
