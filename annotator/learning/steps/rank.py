"""Step 5: the strategy's ranking of everything that may be served, as files of the round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition import registry
from acquisition.errors import AcquisitionError
from acquisition.pool import Labeled, Pool
from acquisition.ranking import Ranking
from acquisition.registry import Strategy
from annotator.learning.arrays import load_array, save_array, save_arrays, save_json
from annotator.learning.costs import pool_cost
from annotator.learning.errors import RankingFailed
from annotator.learning.pool import pack_rows
from annotator.learning.steps.signals import scores
from annotator.learning.stream import JOINTLY, RANKED, Stream, make_stream
from annotator.learning.work import Ints, Work

SMALL = 200_000  # rows of features that may be copied into memory
EXPLAINED = 2_000  # rows whose reasons the strategy itself tells


def rank(work: Work) -> None:
    """The full ranking -> order.npy, q.npy, kind.npy, utility.npy, pool.npy, head.json."""
    pool = work.pool
    strategy, params, fell_back = _choose(work)
    scored = _scored(work, pool.fresh, strategy)
    unscored = np.setdiff1d(pool.fresh, scored, assume_unique=True)
    ranking = _select(work, strategy, params, scored)
    stream = make_stream(
        ranking,
        batch_aware=strategy.spec.batch_aware,
        randomness=float(work.settings["randomness"]),
        unscored=unscored,
        started=pool.started,
        seed=work.round.seed,
    )
    utility = np.full(work.round.n_rows, np.nan, dtype=np.float32)
    utility[ranking.ids] = ranking.utility
    _write(work, stream, utility)
    notes = [note.as_dict() for note in ranking.notes]
    save_json(work.folder / "head.json", {"reasons": _reasons(work, ranking, stream), "notes": notes})
    work.round.pool_digest = pool.digest()
    work.round.strategy = strategy.spec.key
    work.round.settings["used"] = {
        "key": strategy.spec.key,
        "version": strategy.spec.version,
        "params": params,
    }
    work.round.health = {
        "pool": len(pool.rows),
        "scored": len(scored),
        "unscored": len(unscored),
        "started": len(pool.started),
        "cold": work.round.model is None,
        "notes": notes,
        "fell_back": fell_back,
        **_spread(ranking),
    }


def read_stream(folder: Path) -> Stream:
    """The ranking of a round, mapped; FileNotFoundError once it was pruned."""
    return Stream(*(load_array(folder / f"{name}.npy") for name in ("order", "q", "kind")))


def _choose(work: Work) -> tuple[Strategy, dict[str, Any], str]:
    """The strategy to use, its parameters, and why it is not the chosen one, if so."""
    cold = work.round.model is None
    chosen = work.settings["cold" if cold else "warm"]
    try:
        strategy = registry.get(chosen["key"])
    except AcquisitionError as error:
        raise RankingFailed(str(error), hint="Choose another strategy in the learning settings.") from error
    if cold and "features" in strategy.spec.needs and not work.encoded[work.pool.fresh].any():
        return registry.get("random"), {}, "The items have no features yet, so they come in random order."
    return strategy, dict(chosen["params"]), ""


def _scored(work: Work, rows: Ints, strategy: Strategy) -> Ints:
    """Rows that the strategy can see: all of them, or those with features where it needs signals."""
    return rows[work.encoded[rows]] if strategy.spec.needs else rows


def _select(work: Work, strategy: Strategy, params: dict[str, Any], rows: Ints) -> Ranking:
    """The strategy's ranking, or RankingFailed; never a constant in disguise."""
    strict = float(work.settings["randomness"]) <= 0 and not strategy.spec.batch_aware
    wanted = len(rows) if strict else min(len(rows), max(JOINTLY, int(work.settings["batch_size"])))
    try:
        pool, labeled = _pool(work, strategy, rows), _labeled(work, strategy)
        ranking = strategy.select(
            pool, labeled, wanted, np.random.default_rng([work.round.seed, 0]), **params
        )
    except Exception as error:
        # Third-party code may raise anything; whatever it is becomes a visible state of the round.
        raise RankingFailed(
            f"The strategy '{strategy.spec.title}' failed: {type(error).__name__}: {error}",
            hint="The previous ranking stays in use. Choose another strategy or other parameters.",
        ) from error
    # Where a batch is chosen jointly the order is the choice, and equal utilities say nothing against it.
    if len(rows) > 1 and not strategy.spec.batch_aware and _useless(ranking.utility):
        raise RankingFailed(
            f"The strategy '{strategy.spec.title}' gave every item the same worth.",
            code="degenerate_ranking",
            hint="The previous ranking stays in use. More labels, or another strategy, will help.",
        )
    return ranking


def _useless(utility: npt.NDArray[Any]) -> bool:
    """No opinion on anything, or the same on everything: such an order is no ranking."""
    known = utility[~np.isnan(utility)]
    return not len(known) or (len(known) > 1 and bool(known.min() == known.max()))


def _pool(work: Work, strategy: Strategy, rows: Ints) -> Pool:
    needs = strategy.spec.needs
    return Pool(
        ids=rows,
        proba=_take(scores(work), rows) if "proba" in needs else None,
        features=_pool_features(work, rows) if "features" in needs else None,
        cost=pool_cost(work.round.project_id, rows) if "cost" in needs else None,
        multi_label=work.multi,
    )


def _labeled(work: Work, strategy: Strategy) -> Labeled:
    """Labels outside the pool: an item that wants more answers is in the pool and so not known yet."""
    data = work.trainable if "features" in strategy.spec.needs else work.training
    known = data.only(~np.isin(data.rows, work.pool.rows))
    features = None
    if "features" in strategy.spec.needs and work.store is not None and len(known.rows):
        features = work.store.features_of(known.rows)
    return Labeled(
        ids=known.rows,
        n_classes=max(1, len(work.class_keys)),
        features=features,
        targets=known.targets,
        multi_label=work.multi,
    )


def _pool_features(work: Work, rows: Ints) -> npt.NDArray[Any]:
    """Features of the pool: a view where rows are dense, a copy where few, else a file of the round."""
    assert work.store is not None
    features = work.store.features()
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return features[rows[0] : rows[-1] + 1]
    if len(rows) <= SMALL:
        return np.asarray(features[rows])
    path = work.folder / "features.npy"
    out = np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=(len(rows), work.store.dim))
    for start in range(0, len(rows), SMALL):
        out[start : start + SMALL] = features[rows[start : start + SMALL]]
    return out


def _take(matrix: npt.NDArray[Any], rows: Ints) -> npt.NDArray[Any]:
    return matrix if len(rows) == len(matrix) else matrix[rows]


def _write(work: Work, stream: Stream, utility: npt.NDArray[np.float32]) -> None:
    save_array(work.folder / "pool.npy", pack_rows(work.pool.rows, work.round.n_rows))
    save_arrays(work.folder / "state.npz", encoded=np.packbits(work.encoded), started=work.pool.started)
    save_array(work.folder / "utility.npy", utility)
    save_array(work.folder / "order.npy", stream.rows.astype(np.int32))
    save_array(work.folder / "q.npy", stream.q.astype(np.float32))
    save_array(work.folder / "kind.npy", stream.kind)
    (work.folder / "features.npy").unlink(missing_ok=True)


def _reasons(work: Work, ranking: Ranking, stream: Stream) -> dict[str, Any]:
    """What the strategy says about the rows it ranks first, by row."""
    head = stream.rows[:EXPLAINED][stream.kind[:EXPLAINED] == RANKED]
    return {
        str(row): _named(reason, work.class_keys)
        for row, reason in zip(head.tolist(), ranking.reasons(head), strict=True)
    }


def _named(reason: dict[str, Any], class_keys: tuple[str, ...]) -> dict[str, Any]:
    """Class indices as keys, numbers short enough to store thousands of times."""
    named: dict[str, Any] = {}
    for name, value in reason.items():
        if name in {"classes", "labels"}:
            named[name] = [class_keys[index] for index in value]
        elif isinstance(value, float):
            named[name] = round(value, 4)
        elif isinstance(value, list):
            named[name] = [round(part, 4) if isinstance(part, float) else part for part in value]
        else:
            named[name] = value
    return named


def _spread(ranking: Ranking) -> dict[str, Any]:
    """How much the utilities tell items apart: range, standard deviation, share of items that tie with another."""
    known = np.asarray(ranking.utility[~np.isnan(ranking.utility)], dtype=np.float64)
    if not len(known):
        return {"spread": 0.0, "ties": 0.0}
    ordered = np.sort(known)
    equal = ordered[1:] == ordered[:-1]
    tied = np.concatenate([equal, [False]]) | np.concatenate([[False], equal])
    return {
        "spread": float(known.std()),
        "lowest": float(ordered[0]),
        "median": float(ordered[len(ordered) // 2]),
        "highest": float(ordered[-1]),
        "ties": float(tied.mean()),
    }
