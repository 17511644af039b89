"""1,797 handwritten digits that come with scikit-learn, as pictures."""

from __future__ import annotations

import gzip
import io
import random
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotator.transfer.formats import Row
from annotator.workspace.demo.sample import Sample

SIDE = 32  # the originals have 8 × 8 pixels; people read them better when drawn larger
LEVELS = 16
TEST = 297
SEED = 20_241


def samples() -> list[Sample]:
    """All digits in a fixed random order, under names that tell nothing; the last TEST are held out."""
    pixels, answers = _read()
    order = list(range(len(answers)))
    random.Random(SEED).shuffle(order)  # noqa: S311 - an order, no secret
    first_test = len(order) - TEST
    return [
        Sample(
            row=Row(
                line=n + 1,
                external_id=f"digit-{n + 1:04}",
                payload=_png(pixels[index]),
                split="test" if n >= first_test else "pool",
            ),
            answer=str(answers[index]),
        )
        for n, index in enumerate(order)
    ]


def _read() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels (n, 8, 8) from 0 to LEVELS and digits (n,), from the package's data file: importing it takes seconds."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]


def _png(pixels: NDArray[np.int64]) -> bytes:
    """Dark ink on white paper."""
    grey = (255 - pixels * (255 / LEVELS)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()
