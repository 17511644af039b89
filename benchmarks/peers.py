"""Other libraries' strategies on our arrays: each function takes (pool, labeled, n) and returns positions (n,).

None of them is a dependency. Where one is missing, the error says how to install it into a folder of its own. All get
the same features and the same ready probabilities, so that no time of a model is in what is measured.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from acquisition.pool import Labeled, Pool

Select = Callable[..., np.ndarray[Any, Any]]


class PeerError(Exception):
    """A peer that is not installed or not known, or a strategy that it does not have."""


def find(name: str, key: str) -> Select:
    """The peer's strategy that follows the rule of ours; PeerError says what is missing."""
    if name not in PEERS:
        raise PeerError(f"There is no peer '{name}'. Known: {', '.join(sorted(PEERS))}.")
    module, package, strategies = PEERS[name]
    if key not in strategies:
        raise PeerError(f"{name} is compared on: {', '.join(sorted(strategies))}; not on '{key}'.")
    try:
        if not module.startswith(("modAL", "skactiveml")):
            # Those that are made on torch import torchvision too, whose compiled part may not fit it.
            importlib.import_module("models_zoo.torchvision_ops").declare_missing_operators()
        importlib.import_module(module)
    except ImportError as error:
        raise PeerError(
            f"{name} cannot be imported ({error}). Install it, and what it says is missing, into a folder of its own "
            f"and name that in PYTHONPATH:\n"
            f"  pip install --target peers --no-deps {package}\n  PYTHONPATH=peers python -m benchmarks.acquisition ..."
        ) from error
    return strategies[key]


class _Told:
    """A classifier that was told the probabilities of the pool."""

    def __init__(self, proba: Any) -> None:
        self.proba = proba

    def predict_proba(self, samples: Any) -> Any:
        return self.proba


def _scikit_activeml(strategy: str, *, model: str = "", **options: Any) -> Select:
    """`strategy` of skactiveml.pool; `model`: the name under which `query` takes a classifier."""

    def select(pool: Pool, labeled: Labeled, n: int, **more: Any) -> np.ndarray[Any, Any]:
        pools = importlib.import_module("skactiveml.pool")
        base = importlib.import_module("skactiveml.base")

        class Told(base.SkactivemlClassifier):  # type: ignore[misc, name-defined]
            def fit(self, *_: Any, **__: Any) -> Any:
                return self

            def predict_proba(self, _: Any) -> Any:
                return pool.proba

        features = pool.features if pool.features is not None else np.zeros((len(pool), 1), np.float32)
        known = (
            labeled.features if pool.features is not None and labeled.features is not None else features[:0]
        )
        targets = np.full(len(pool) + len(known), np.nan)
        if len(known) and labeled.targets is not None:
            targets[len(pool) :] = labeled.targets
        fitted: dict[str, Any] = {}
        if model:
            fitted = {model: Told(classes=list(range(labeled.n_classes))), f"fit_{model}": False}
        everything = np.concatenate([features, known]) if len(known) else features
        query = getattr(pools, strategy)(random_state=0, **options, **more)
        return np.asarray(query.query(everything, targets, batch_size=n, **fitted))

    return select


def _modal(name: str) -> Select:
    def select(pool: Pool, _: Labeled, n: int) -> np.ndarray[Any, Any]:
        function = getattr(importlib.import_module("modAL.uncertainty"), name)
        rows = np.zeros((len(pool), 1), np.float32)
        chosen = function(_Told(pool.proba), rows, n_instances=n)
        # Newer versions tell the scores as well.
        return np.asarray(chosen[0] if isinstance(chosen, tuple) else chosen)

    return select


def _baal(name: str, *, signal: str = "proba", batch: bool = False) -> Select:
    def select(pool: Pool, _: Labeled, n: int) -> np.ndarray[Any, Any]:
        heuristic = getattr(importlib.import_module("baal.active.heuristics"), name)
        ranked = (heuristic(num_samples=n) if batch else heuristic())(getattr(pool, signal))
        return np.asarray(ranked)[:n]

    return select


def _small_text(module: str, name: str, *, embeds: bool = False, **options: Any) -> Select:
    def select(pool: Pool, labeled: Labeled, n: int) -> np.ndarray[Any, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strategy = getattr(importlib.import_module(module), name)
            if name == "BADGE":
                options["num_classes"] = labeled.n_classes
            strategy = strategy(**options)
            rows = np.arange(len(pool))
            if not embeds:
                return np.asarray(strategy.query(_Told(pool.proba), rows, rows, rows[:0], rows[:0], n=n))
            known = labeled.features if labeled.features is not None else np.empty((0, 1))
            everything = np.concatenate([pool.features, known]) if len(known) else pool.features
            extra = len(pool) + np.arange(len(known))
            proba = None if pool.proba is None else np.concatenate([pool.proba, labeled.proba])
            return np.asarray(
                strategy.sample(None, None, rows, extra, None, n, everything, embeddings_proba=proba)
            )

    return select


_SMALL = "small_text.query_strategies"

PEERS: Mapping[str, tuple[str, str, Mapping[str, Select]]] = {
    "modal": (
        "modAL",
        "modAL-python",
        {
            "entropy": _modal("entropy_sampling"),
            "least_confidence": _modal("uncertainty_sampling"),
            "margin": _modal("margin_sampling"),
        },
    ),
    "scikit-activeml": (
        "skactiveml.pool",
        "scikit-activeml",
        {
            "badge": _scikit_activeml("Badge", model="clf"),
            "clue": _scikit_activeml("Clue", model="estimator"),
            "core_set": _scikit_activeml("CoreSet"),
            "entropy": _scikit_activeml("UncertaintySampling", model="clf", method="entropy"),
            "least_confidence": _scikit_activeml(
                "UncertaintySampling", model="clf", method="least_confident"
            ),
            "margin": _scikit_activeml("UncertaintySampling", model="clf", method="margin_sampling"),
            "probcover": _scikit_activeml("ProbCover"),
            "typicality": _scikit_activeml("TypiClust"),
        },
    ),
    "small-text": (
        "small_text",
        "small-text",
        {
            "badge": _small_text(
                "small_text.integrations.pytorch.query_strategies.strategies", "BADGE", embeds=True
            ),
            "core_set": _small_text(_SMALL, "GreedyCoreset", embeds=True),
            "entropy": _small_text(_SMALL, "PredictionEntropy"),
            "kmeans": _small_text(_SMALL, "EmbeddingKMeans", embeds=True),
            "least_confidence": _small_text(_SMALL, "LeastConfidence"),
            "margin": _small_text(_SMALL, "BreakingTies"),
        },
    ),
    "baal": (
        "baal.active.heuristics",
        "baal",
        {
            "bald": _baal("BALD", signal="draws"),
            "batchbald": _baal("BatchBALD", signal="draws", batch=True),
            "entropy": _baal("Entropy"),
            "least_confidence": _baal("Certainty"),
            "margin": _baal("Margin"),
        },
    ),
}
# The name of its module is what the library is known by as well.
PEERS = {**PEERS, "skactiveml": PEERS["scikit-activeml"]}
