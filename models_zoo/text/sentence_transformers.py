"""Any sentence-transformers model, by its name on the hub or from a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models_zoo.encoding import Encoder
from models_zoo.registry import READY, Availability, EncoderSpec, encoder


def offline() -> bool:
    """Tell whether the hub was switched off by its own environment variables."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def hub_cache() -> Path:
    """Return the hub's cache folder, found as the hub's own library finds it."""
    if given := os.environ.get("HF_HUB_CACHE"):
        return Path(given)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(home).expanduser() / "hub"


def probe(params: Mapping[str, Any]) -> Availability:
    """Say whether the model lies in a folder or in the cache, or would be downloaded."""
    name = params["model"]
    if Path(name).is_dir():
        if (Path(name) / "modules.json").is_file() or (Path(name) / "config.json").is_file():
            return READY
        return Availability("missing", f"The folder '{name}' holds no model.")
    if name.count("/") > 1 or name.startswith(("/", ".", "~")):
        return Availability("missing", f"The folder '{name}' does not exist.")
    repository = name if "/" in name else f"sentence-transformers/{name}"
    if (hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots").is_dir():
        return READY
    if offline():
        return Availability("missing", f"'{name}' is not in the cache, and the hub is switched off.")
    return Availability("download", f"'{name}' is downloaded when it is first used.")


@encoder(
    EncoderSpec(
        key="sentence_transformers",
        title="Any sentence-transformers model",
        advice="For other languages or more accuracy than MiniLM; larger models need a GPU to be pleasant.",
        modality="text",
        params={
            "model": {
                "type": "string",
                "default": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
                "minLength": 1,
                "maxLength": 300,
                "format": "path",
                "title": "Model",
                "description": "A name on the hub, or the folder of a downloaded model.",
            },
            "max_length": {
                "type": "integer",
                "default": 0,
                "minimum": 0,
                "maximum": 8192,
                "title": "Longest text (tokens)",
                "description": "Longer texts are cut; 0 = the model's own limit.",
            },
            "prompt": {
                "type": "string",
                "default": "",
                "maxLength": 200,
                "title": "Prompt",
                "description": "Put before each text; some models ask for one, such as 'query: '.",
            },
        },
        packages=("sentence_transformers",),
        reference="Reimers and Gurevych 2019, Sentence-BERT",
        probe=probe,
    )
)
def build(params: Mapping[str, Any], device: str) -> Encoder:
    """Load the model from its folder, the cache or the hub."""
    from models_zoo.text import _sentence  # torch: not at import, so that forms can list models without it

    name = params["model"]
    model = _sentence.load(name, device, local_only=Path(name).is_dir() or offline())
    return _sentence.SentenceEncoder(model, max_length=params["max_length"], prompt=params["prompt"])
