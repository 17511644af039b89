"""The encoder around any sentence-transformers model."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_zoo import torchvision_ops
from models_zoo.device import pick_device
from models_zoo.encoding import (
    Features,
    OnError,
    Progress,
    ShouldStop,
    digest_of,
    encode_in_batches,
    read_text,
)
from models_zoo.errors import ModelUnavailable
from models_zoo.weights import state_digest

BATCH = 32
BATCH_CUDA = 256


@contextmanager
def _no_bars() -> Iterator[None]:
    """Silence the progress bars that transformers writes to stderr while loading."""
    logging = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load(name: str, device: str, *, local_only: bool) -> Any:
    """Return the SentenceTransformer called `name` (or at that path), or raise ModelUnavailable."""
    torchvision_ops.declare_missing_operators()
    library = importlib.import_module("sentence_transformers")
    try:
        with _no_bars():
            return library.SentenceTransformer(
                name, device=str(pick_device(device)), local_files_only=local_only
            )
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"the model {name!r} cannot be loaded: {error}",
            hint="Check the name, or give the folder of a downloaded model; this machine may have no network.",
        ) from error


class SentenceEncoder:
    """Sentence embeddings (n, dim); long texts are cut at `max_length` tokens (0 = what the model was made for)."""

    def __init__(self, model: Any, *, max_length: int = 0, prompt: str = "") -> None:
        self._model = model.eval()
        self._prompt = prompt
        if max_length:
            limit = model.max_seq_length or max_length
            model.max_seq_length = min(max_length, limit)
        self.dim = int(model.get_embedding_dimension())
        self.digest = digest_of(
            "sentence-transformers",
            state_digest(model.state_dict()),
            model.tokenizer.backend_tokenizer.to_str(),
            [str(module) for module in model],
            {"max_length": model.max_seq_length, "prompt": prompt},
        )
        self._batch = BATCH if model.device.type == "cpu" else BATCH_CUDA

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features:
        """Return normalised embeddings of texts."""
        return encode_in_batches(
            samples,
            dim=self.dim,
            batch_size=self._batch,
            read=read_text,
            compute=self._compute,
            cost=lambda text: len(text) if isinstance(text, str) else 0,
            progress=progress,
            should_stop=should_stop,
            on_error=on_error,
        )

    def _compute(self, texts: list[str]) -> NDArray[np.float32]:
        embeddings: NDArray[np.float32] = self._model.encode(
            [self._prompt + text for text in texts],
            batch_size=len(texts),
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return embeddings.astype(np.float32)
