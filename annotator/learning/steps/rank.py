"""Step 5: the strategy's ranking of everything that may be served, as files of the round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.committee import MemberOptions
from acquisition.composition import Run
from acquisition.errors import StrategyStopped
from acquisition.isolate import run_isolated
from acquisition.pool import Labeled, Pool
from acquisition.presets import State
from acquisition.ranking import Note, Ranking, sampled_note
from acquisition.registry import Strategy
from annotator import env
from annotator.learning import choosing, filtering
from annotator.learning.arrays import load_array, save_array, save_arrays, save_json
from annotator.learning.choosing import Chosen
from annotator.learning.committee import affordable, draws
from annotator.learning.costs import kept_model, pool_cost
from annotator.learning.earlier import earlier_proba, earlier_round
from annotator.learning.errors import RankingFailed
from annotator.learning.models import Round
from annotator.learning.pool import pack_rows
from annotator.learning.steps.signals import scores
from annotator.learning.stream import JOINTLY, RANKED, Stream, make_stream, with_held, with_rest
from annotator.learning.work import Ints, Work
from models_zoo.errors import Cancelled

SMALL = 200_000  # rows of features that may be copied into memory
EXPLAINED = 2_000  # rows whose reasons the strategy itself tells


def rank(work: Work) -> None:
    """The full ranking -> order.npy, q.npy, kind.npy, utility.npy, pool.npy, head.json."""
    pool = work.pool
    choice = chosen(work)
    strategy = choice.strategy
    fresh = np.setdiff1d(pool.fresh, work.asked, assume_unique=True)
    wanted = filtering.wanted(work, fresh)
    encoded = _scored(work, wanted, strategy)
    unscored = np.setdiff1d(wanted, encoded, assume_unique=True)
    known, told = filtering.kept(work, choice, encoded)
    held = filtering.held_back(
        work, choice, np.setdiff1d(fresh, np.union1d(known, unscored), assume_unique=True)
    )
    options = MemberOptions.of(*choice.composition.parts()) if "draws" in strategy.spec.needs else None
    scored = known
    if options is not None:
        scored = affordable(known, classes=len(work.class_keys), options=options, seed=work.round.seed)
    ranking = _select(work, strategy, choice.params, scored, options)
    stream = make_stream(
        ranking,
        batch_aware=strategy.spec.batch_aware,
        randomness=float(work.settings["randomness"]),
        unscored=unscored,
        started=pool.started,
        asked=work.asked,
        seed=work.round.seed,
    )
    stream = with_rest(stream, np.setdiff1d(known, scored, assume_unique=True), work.round.seed)
    stream = with_held(stream, held)
    utility = np.full(work.round.n_rows, np.nan, dtype=np.float32)
    utility[ranking.ids] = ranking.utility
    _write(work, stream, utility)
    told = (*choice.notes, *told, *ranking.notes, *_signal_notes(work, strategy, scored, known))
    notes = [note.as_dict() for note in told]
    save_json(work.folder / "head.json", {"reasons": _reasons(work, ranking, stream), "notes": notes})
    work.round.pool_digest = pool.digest()
    work.round.strategy = strategy.spec.key
    work.round.settings["used"] = choice.used()
    if options is not None:
        work.round.settings["committee"] = options.as_json()
    work.round.health = {
        "pool": len(pool.rows),
        "scored": len(scored),
        "unscored": len(unscored),
        "left_out": len(known) - len(scored),
        "started": len(pool.started),
        "held": len(held),
        "asked": len(work.asked),
        "cold": work.round.model is None,
        "notes": notes,
        "fell_back": choice.fell_back,
        **_spread(ranking),
    }


def chosen(work: Work) -> Chosen:
    """What this round ranks with, decided once: signals are made for it, and it ranks."""
    if "chosen" not in work.keep:
        state = State(
            labels=len(work.training.rows),
            classes=len(work.class_keys),
            task="multi" if work.multi else "single",
            signals=choosing.signals(
                model=work.round.model is not None, encoded=bool(work.encoded[work.pool.fresh].any())
            ),
            favourite=str(work.settings.get("favourite", {}).get("strategy", "")),
        )
        work.keep["chosen"] = choosing.choose(work.settings, state, run=runner(work.folder, work.should_stop))
    found: Chosen = work.keep["chosen"]
    return found


def read_stream(folder: Path) -> Stream:
    """The ranking of a round, mapped; FileNotFoundError once it was pruned."""
    return Stream(*(load_array(folder / f"{name}.npy") for name in ("order", "q", "kind")))


def runner(root: Path, should_stop: Callable[[], bool]) -> Run:
    """Our own strategies run here; those of others in a process that can be ended, with files below `root`."""

    def run(
        strategy: Strategy, pool: Pool, labeled: Labeled, n: int, rng: np.random.Generator, params: Any
    ) -> Ranking:
        if not strategy.source:
            return strategy.select(pool, labeled, n, rng, **params)
        with TemporaryDirectory(dir=root, prefix="foreign-") as folder:
            return run_isolated(
                strategy,
                pool,
                labeled,
                n,
                rng,
                params,
                folder=Path(folder),
                seconds=env.integer("ANNOTATOR_STRATEGY_SECONDS"),
                memory_mb=env.integer("ANNOTATOR_STRATEGY_MB"),
                explained=EXPLAINED,
                should_stop=should_stop,
            )

    return run


def _scored(work: Work, rows: Ints, strategy: Strategy) -> Ints:
    """Rows that the strategy can see: all of them, or those with features where it needs signals."""
    return rows[work.encoded[rows]] if strategy.spec.needs else rows


def _select(
    work: Work, strategy: Strategy, params: dict[str, Any], rows: Ints, options: MemberOptions | None
) -> Ranking:
    """The strategy's ranking, or RankingFailed; never a constant in disguise."""
    strict = float(work.settings["randomness"]) <= 0 and not strategy.spec.batch_aware
    wanted = len(rows) if strict else min(len(rows), max(JOINTLY, int(work.settings["batch_size"])))
    # Outside the `try`: whoever cancels meanwhile, or a database that is away, is not the strategy's fault.
    pool, labeled = _pool(work, strategy, rows, options), _labeled(work, strategy)
    try:
        ranking = strategy.select(
            pool, labeled, wanted, np.random.default_rng([work.round.seed, 0]), **params
        )
    except Cancelled:
        raise
    except StrategyStopped as error:
        raise Cancelled(str(error)) from error
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


def _pool(work: Work, strategy: Strategy, rows: Ints, options: MemberOptions | None) -> Pool:
    """What the strategy needs, and no more: a committee is trained for those alone that ask for one."""
    needs = strategy.spec.needs
    signals: dict[str, Any] = {}
    if "proba" in needs:
        signals["proba"] = _take(scores(work), rows)
    if options is not None:
        signals["draws"] = draws(work, rows, options)
    if "previous" in needs:
        signals["previous"] = earlier_proba(work, _earlier(work), rows)
    if "features" in needs:
        signals["features"] = _pool_features(work, rows)
    if "cost" in needs:
        project_id = work.round.project_id
        signals["cost"] = pool_cost(project_id, rows, kept_model(project_id, work.round.settings))
    return Pool(ids=rows, multi_label=work.multi, outlier=work.outlier, **signals)


def _earlier(work: Work) -> Round | None:
    """The round to compare with: that on the record when a ranking is replayed."""
    if "previous_round" not in work.settings:
        found = earlier_round(work)
        work.round.settings["previous_round"] = found.number if found else None
    number = work.settings["previous_round"]
    return Round.objects.get(project_id=work.round.project_id, number=number) if number else None


def _signal_notes(work: Work, strategy: Strategy, scored: Ints, known: Ints) -> list[Note]:
    notes = [sampled_note(len(scored), len(known))] if len(scored) < len(known) else []
    if "previous" in strategy.spec.needs and not work.settings.get("previous_round"):
        notes.append(Note("no-previous", "No earlier model's probabilities are kept to compare with."))
    return notes


def _labeled(work: Work, strategy: Strategy) -> Labeled:
    """Labels outside the pool: an item that wants more answers is in the pool and so not known yet."""
    data = work.trainable if "features" in strategy.spec.needs else work.training
    known = data.only(~np.isin(data.rows, work.pool.rows))
    features = proba = None
    if "features" in strategy.spec.needs and work.store is not None and len(known.rows):
        features = work.store.features_of(known.rows)
    if "proba" in strategy.spec.needs and work.round.model is not None:
        proba = scores(work)[known.rows]
    return Labeled(
        ids=known.rows,
        n_classes=max(1, len(work.class_keys)),
        features=features,
        proba=proba,
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
    save_arrays(
        work.folder / "state.npz",
        encoded=np.packbits(work.encoded),
        started=work.pool.started,
        asked=work.asked,
    )
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
        elif name == "for_class":
            named[name] = class_keys[value]
        elif isinstance(value, dict):
            named[name] = {
                key: round(part, 4) if isinstance(part, float) else part for key, part in value.items()
            }
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
