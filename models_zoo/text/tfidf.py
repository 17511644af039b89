"""Word and character n-grams, TF-IDF, truncated SVD: no pretrained weights, any language, no GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models_zoo.encoding import (
    Encoder,
    Features,
    OnError,
    Progress,
    ShouldStop,
    check_stop,
    digest_of,
    encode_in_batches,
    read_text,
)
from models_zoo.errors import NotEnoughData, NotFitted
from models_zoo.registry import EncoderSpec, encoder

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

KIND = "encoder-tfidf"
BATCH = 1_000
VERSION = 1


def vectorizers(
    vocabularies: Mapping[str, Mapping[str, int]] | None, terms: int
) -> dict[str, TfidfVectorizer]:
    """Return the word and the character vectorizer: new ones, or ones with a known vocabulary."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import: not when models are listed

    known: Mapping[str, Any] = vocabularies or {"words": None, "characters": None}
    common: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32, "max_features": terms}
    return {
        "words": TfidfVectorizer(ngram_range=(1, 2), vocabulary=known["words"], **common),
        "characters": TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), vocabulary=known["characters"], **common
        ),
    }


class TfidfEncoder:
    """TF-IDF features (n, dim), learnt from a sample of the texts; the state is vocabulary, idf and SVD axes."""

    def __init__(self, *, dim: int, terms: int, sample: int) -> None:
        self.dim = dim
        self._params = {"dim": dim, "terms": terms, "sample": sample, "version": VERSION}
        self._vectorizers: dict[str, TfidfVectorizer] = {}
        self._axes: NDArray[np.float32] | None = None
        self.digest = digest_of("tfidf", self._params, "not fitted")

    def fit(
        self,
        samples: Sequence[Any],
        targets: NDArray[Any] | None = None,
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> None:
        """Learn vocabulary and axes from an evenly spread part of the texts; labels are not looked at."""
        from scipy.sparse import hstack
        from sklearn.decomposition import TruncatedSVD

        step = max(1, -(-len(samples) // self._params["sample"]))
        texts = [read_text(sample) for sample in samples[::step]]
        steps = iter(range(1, 4))

        def report() -> None:
            check_stop(should_stop)
            if progress is not None:
                progress(next(steps), 3)

        models = vectorizers(None, self._params["terms"])
        parts = []
        for name, model in models.items():
            try:
                parts.append(model.fit_transform(texts))
            except ValueError as error:
                raise NotEnoughData(f"the texts hold no {name} to learn from") from error
            report()
        counts = hstack(parts).tocsr()
        rank = min(self.dim, *(size - 1 for size in counts.shape))
        if rank < 1:
            raise NotEnoughData("TF-IDF needs at least two different texts")
        svd = TruncatedSVD(rank, n_iter=2, random_state=0).fit(counts)
        axes = np.zeros((self.dim, counts.shape[1]), dtype=np.float32)
        axes[:rank] = svd.components_
        self._adopt(models, axes)
        report()

    def _adopt(self, models: dict[str, TfidfVectorizer], axes: NDArray[np.float32]) -> None:
        self._vectorizers, self._axes = models, axes
        tensors, about = self._state()
        self.digest = digest_of("tfidf", about, *(tensors[name].tobytes() for name in sorted(tensors)))

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        if self._axes is None:
            raise NotFitted("TF-IDF has to be fitted on texts first")
        tensors: dict[str, NDArray[Any]] = {"axes": self._axes}
        for name, model in self._vectorizers.items():
            terms = sorted(model.vocabulary_, key=model.vocabulary_.__getitem__)
            tensors[f"{name}.terms"] = np.frombuffer(json.dumps(terms).encode(), dtype=np.uint8)
            tensors[f"{name}.idf"] = np.asarray(model.idf_, dtype=np.float32)
        return tensors, {"params": self._params}

    def encode(
        self,
        samples: Sequence[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
        on_error: OnError | None = None,
    ) -> Features:
        """Return normalised rows; a text without a known n-gram is a row of zeros."""
        if self._axes is None:
            raise NotFitted("TF-IDF has to be fitted on texts first")
        return encode_in_batches(
            samples,
            dim=self.dim,
            batch_size=BATCH,
            read=read_text,
            compute=self._compute,
            progress=progress,
            should_stop=should_stop,
            on_error=on_error,
        )

    def _compute(self, texts: list[str]) -> NDArray[np.float32]:
        assert self._axes is not None
        split = len(self._vectorizers["words"].vocabulary_)
        words = self._vectorizers["words"].transform(texts) @ self._axes[:, :split].T
        characters = self._vectorizers["characters"].transform(texts) @ self._axes[:, split:].T
        return np.asarray(words + characters, dtype=np.float32)

    def save(self, path: Path) -> str:
        """Write the state and return the digest of the file's content."""
        from models_zoo import checkpoints  # torch: not when models are listed

        tensors, about = self._state()
        return checkpoints.write(path, kind=KIND, tensors=tensors, metadata=about)

    def load(self, path: Path) -> None:
        """Take over a saved state, or raise CheckpointError."""
        from models_zoo import checkpoints  # torch: not when models are listed

        saved = checkpoints.read(path, kind=KIND)
        self._params = saved.metadata["params"]
        self.dim = self._params["dim"]
        vocabularies = {}
        for name in ("words", "characters"):
            terms = json.loads(saved.tensors[f"{name}.terms"].tobytes())
            vocabularies[name] = {term: column for column, term in enumerate(terms)}
        models = vectorizers(vocabularies, self._params["terms"])
        for name, model in models.items():
            model.idf_ = saved.tensors[f"{name}.idf"]
        self._adopt(models, saved.tensors["axes"])


@encoder(
    EncoderSpec(
        key="tfidf",
        title="TF-IDF of words and characters",
        advice="For any language and for machines without the packaged model; learns the words of the project first.",
        modality="text",
        params={
            "dim": {
                "type": "integer",
                "default": 256,
                "minimum": 16,
                "maximum": 1024,
                "title": "Dimensions",
                "description": "How many axes the n-grams are condensed to.",
            },
            "terms": {
                "type": "integer",
                "default": 20_000,
                "minimum": 100,
                "maximum": 200_000,
                "title": "Most n-grams",
                "description": "The most frequent n-grams that are kept, of words and of characters each.",
            },
            "sample": {
                "type": "integer",
                "default": 5_000,
                "minimum": 100,
                "maximum": 200_000,
                "title": "Texts to learn from",
                "description": "Vocabulary and axes are learnt from at most this many texts.",
            },
        },
        needs_fit="samples",
        packages=("sklearn",),
        reference="Deerwester et al. 1990, Indexing by latent semantic analysis",
    )
)
def build(params: Mapping[str, Any], _device: str) -> Encoder:
    """Return an encoder that has to be fitted, or loaded, before it encodes."""
    return TfidfEncoder(dim=params["dim"], terms=params["terms"], sample=params["sample"])
