"""scikit-activeml's pool strategies as `skactiveml:name` (extra `skactiveml`).

A strategy asks its classifier about rows; here rows are numbers, and a stand-in hands out the probabilities and features
that belong to them. Strategies that look at the rows themselves get the features. What trains models of its own for every
item (expected error reduction, value of information, Quire, cost embedding), needs a model of the library's own kind
(epistemic uncertainty, probabilistic AL, 4DS), drops features out (DropQuery) or is for regression does not fit.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.adapters._shared import LARGEST, Doubles, View, quiet, rank_picks, rank_scores, view_of
from acquisition.arrays import to_numpy
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.registry import Strategy, StrategySpec

LIBRARY, DISTRIBUTION = "skactiveml", "scikit-activeml"

_REFERENCE = "Kottke et al. 2021, scikit-activeml: a library and toolbox for active learning algorithms"
_EMBEDDED = "with_features"

# What a strategy asks for besides rows, labels and candidates
Arguments = Callable[[View], dict[str, Any]]


@cache
def _stand_in() -> type:
    """A classifier of the library that knows the probabilities (and features) of numbered rows."""
    base = importlib.import_module("skactiveml.base").SkactivemlClassifier

    class StandIn(base):  # type: ignore[misc, valid-type]
        def __init__(self, proba: Doubles | None = None, features: Doubles | None = None) -> None:
            super().__init__()
            self.proba, self.features = proba, features
            self.classes_ = np.arange(0 if proba is None else proba.shape[1])

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            raise NotImplementedError("The model was trained elsewhere.")

        def predict_proba(self, X: Any, *, with_features: bool = False) -> Any:
            rows = np.asarray(X)[:, 0].astype(np.int64)
            assert self.proba is not None
            if not with_features:
                return self.proba[rows]
            assert self.features is not None
            return self.proba[rows], self.features[rows]

        def predict(self, X: Any) -> Any:
            return self.predict_proba(X).argmax(axis=1)

    return StandIn


def _classifier(view: View) -> Any:
    """Of the rows seen, then of the labelled ones: uniform where the model said nothing of those."""
    proba, features = view.proba(), None
    known = np.full((len(view.labeled), proba.shape[1]), 1 / proba.shape[1])
    if view.labeled.proba is not None:
        said = to_numpy(view.labeled.proba)[view.known()].astype(np.float64)
        known = np.where(np.isnan(said), known, said)
    if view.pool.features is not None:
        features = np.vstack([view.features(), _known_features(view)])
    return _stand_in()(np.vstack([proba, known]), features)


def _known_features(view: View) -> Doubles:
    found = view.known_features()
    assert view.pool.features is not None
    # Labelled rows without features are far from nothing: at the origin.
    return found if len(found) else np.zeros((len(view.labeled), view.pool.features.shape[1]))


@dataclass(frozen=True)
class _Query:
    """One of the library's strategies as a function of ours.

    asked: what else its `query` takes. jointly: the batch is its choice; else the order is that of its scores.
    by_features: it looks at the rows themselves. own: its parameters among ours; fixed: those nobody needs to choose.
    clusters: it needs to be told the seed of its clustering.
    """

    name: str
    asked: Arguments
    jointly: bool
    by_features: bool
    own: tuple[str, ...]
    fixed: Mapping[str, Any]
    clusters: bool

    def __call__(
        self, pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, **params: Any
    ) -> Ranking:
        view = view_of(pool, labeled, rng, most=params.get("max_pool"))
        own = {key: params[key] for key in self.own} | dict(self.fixed)
        if self.clusters:
            # It does not hand its own seed on to the clustering.
            own["cluster_algo_dict"] = {"random_state": view.seed % 2**32}
        kind = f"skactiveml:{KEYS[self.name]}"
        if len(view) == 1:
            return rank_scores(view, np.zeros(1), n, rng, kind=kind)  # some of them cannot cluster one row
        picks, scores = self._ask(view, max(1, n) if self.jointly else 1, own)
        if not self.jointly:
            return rank_scores(view, scores, n, rng, kind=kind)
        distinct = np.array(list(dict.fromkeys(picks.tolist())), dtype=np.int64)
        return rank_picks(view, distinct, scores, n, rng, kind=kind)

    def _ask(self, view: View, n: int, own: Mapping[str, Any]) -> tuple[npt.NDArray[np.int64], Doubles]:
        """Places of the picks among the rows seen, and the scores (m,) with which the first was chosen."""
        rows, known = self._rows(view)
        labels = np.full(len(rows), np.nan)
        if known:
            targets = view.labeled.targets
            labels[len(view) :] = 0 if targets is None else np.asarray(targets)[view.known()]
        made = getattr(importlib.import_module("skactiveml.pool"), self.name)
        with quiet():
            picks, scores = made(random_state=view.random_state(), **own).query(
                rows,
                labels,
                **self.asked(view),
                candidates=np.arange(len(view)),
                batch_size=min(n, len(view)),
                return_utilities=True,
            )
        return np.asarray(picks, dtype=np.int64), np.asarray(scores)[0, : len(view)]

    def _rows(self, view: View) -> tuple[Doubles, int]:
        """Rows as the library sees them, those of the pool first, and how many of them are labelled."""
        if self.by_features:
            known = view.known_features()
            return (np.vstack([view.features(), known]) if len(known) else view.features()), len(known)
        total = len(view) + len(view.labeled)
        return np.arange(total, dtype=np.float64)[:, None], len(view.labeled)


def _of_classifier(view: View) -> dict[str, Any]:
    return {"clf": _classifier(view), "fit_clf": False}


def _of_estimator(view: View) -> dict[str, Any]:
    return {"estimator": _classifier(view), "fit_estimator": False}


def _of_committee(view: View) -> dict[str, Any]:
    draws = view.draws()
    known = np.full((len(view.labeled), draws.shape[1]), 1 / draws.shape[1])
    members = [_stand_in()(np.vstack([draws[:, :, member], known])) for member in range(draws.shape[2])]
    return {"ensemble": members, "fit_ensemble": False}


def _of_discriminator(view: View) -> dict[str, Any]:
    linear = importlib.import_module("sklearn.linear_model").LogisticRegression(max_iter=200)
    wrapped = importlib.import_module("skactiveml.classifier").SklearnClassifier(
        linear, classes=[0, 1], missing_label=-1
    )
    return {"discriminator": wrapped}


def _of_nothing(_view: View) -> dict[str, Any]:
    return {}


def _choice(default: str, *values: str, title: str) -> dict[str, Any]:
    return {"type": "string", "enum": [default, *values], "default": default, "title": title}


def _number(kind: str, default: float, low: float, high: float, title: str) -> dict[str, Any]:
    return {"type": kind, "default": default, "minimum": low, "maximum": high, "title": title}


def _made(
    name: str,
    title: str,
    advice: str,
    *,
    needs: set[str],
    asked: Arguments = _of_nothing,
    jointly: bool = False,
    by_features: bool = False,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    clusters: bool = False,
) -> Strategy:
    own = own or {}
    spec = StrategySpec(
        key=f"skactiveml:{KEYS[name]}",
        title=f"{title} (scikit-activeml)",
        advice=advice,
        needs=frozenset(needs),
        tasks=frozenset({"single"}),
        batch_aware=jointly,
        params={**own, **(LARGEST if needs & {"features", "draws"} else {})},
        reference=_REFERENCE,
    )
    return Strategy(spec, _Query(name, asked, jointly, by_features, tuple(own), fixed or {}, clusters))


KEYS = {
    "UncertaintySampling": "uncertainty_sampling",
    "Badge": "badge",
    "Clue": "clue",
    "ContrastiveAL": "contrastive_al",
    "Falcun": "falcun",
    "CoreSet": "core_set",
    "TypiClust": "typi_clust",
    "ProbCover": "prob_cover",
    "MaxHerding": "max_herding",
    "DiscriminativeAL": "discriminative_al",
    "QueryByCommittee": "query_by_committee",
    "GreedyBALD": "greedy_bald",
    "BatchBALD": "batch_bald",
}

STRATEGIES = (
    _made(
        "UncertaintySampling",
        "Uncertainty sampling",
        "Use it to repeat what was done with scikit-activeml; our own uncertainty strategies are faster.",
        needs={"proba"},
        asked=_of_classifier,
        own={"method": _choice("least_confident", "margin_sampling", "entropy", title="Measure")},
    ),
    _made(
        "Badge",
        "BADGE",
        "Use it to repeat what was done with scikit-activeml, in small pools: memory grows with classes times features.",
        needs={"proba", "features"},
        asked=_of_classifier,
        jointly=True,
        fixed={"clf_embedding_flag_name": _EMBEDDED},
    ),
    _made(
        "Clue",
        "CLUE",
        "Use it for batches that are unsure and spread over the pool, when a model exists.",
        needs={"proba", "features"},
        asked=_of_estimator,
        jointly=True,
        own={"method": _choice("entropy", "least_confident", "margin_sampling", title="Measure")},
        fixed={"predict_dict": {_EMBEDDED: True}},
        clusters=True,
    ),
    _made(
        "ContrastiveAL",
        "Contrastive",
        "Use it when items that are alike should be predicted alike: it asks where they are not.",
        needs={"proba", "features"},
        asked=_of_classifier,
        fixed={"clf_embedding_flag_name": _EMBEDDED},
    ),
    _made(
        "Falcun",
        "FALCUN",
        "Use it for batches that are unsure and unlike each other in what the model says, with many classes.",
        needs={"proba"},
        asked=_of_classifier,
        jointly=True,
        own={"gamma": _number("number", 10, 0, 100, "Sharpness")},
    ),
    _made(
        "CoreSet",
        "Core-set",
        "Use it to cover the pool where no model exists; it asks for the unusual first.",
        needs={"features"},
        jointly=True,
        by_features=True,
    ),
    _made(
        "TypiClust",
        "TypiClust",
        "Use it to start without a model, in small pools; our own typicality is faster.",
        needs={"features"},
        jointly=True,
        by_features=True,
        own={"k": _number("integer", 5, 1, 100, "Neighbours")},
    ),
    _made(
        "ProbCover",
        "ProbCover",
        "Use it to start without a model, in small pools: memory grows with their square.",
        needs={"features"},
        jointly=True,
        by_features=True,
        own={"alpha": _number("number", 0.95, 0.5, 0.999, "Purity")},
    ),
    _made(
        "MaxHerding",
        "MaxHerding",
        "Use it to start without a model, in small pools: memory grows with their square.",
        needs={"features"},
        jointly=True,
        by_features=True,
    ),
    _made(
        "DiscriminativeAL",
        "Discriminative",
        "Use it when labelled items should come to look like the pool.",
        needs={"features"},
        asked=_of_discriminator,
        by_features=True,
        fixed={"greedy_selection": True},
    ),
    _made(
        "QueryByCommittee",
        "Query by committee",
        "Use it when several models exist and their disagreement counts.",
        needs={"draws"},
        asked=_of_committee,
        own={
            "method": _choice("KL_divergence", "vote_entropy", "variation_ratios", title="Measure"),
        },
    ),
    _made(
        "GreedyBALD",
        "BALD",
        "Use it when several models exist and each is sure of something else.",
        needs={"draws"},
        asked=_of_committee,
    ),
    _made(
        "BatchBALD",
        "BatchBALD",
        "Use it for small batches from small pools, when several models exist.",
        needs={"draws"},
        asked=_of_committee,
        jointly=True,
    ),
)
