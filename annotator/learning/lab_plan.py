"""What a backtest will do: strategies, seeds, budget; how long it takes; which runs are still to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from acquisition import params as strategy_params
from acquisition import presets, registry
from acquisition.adastop import Outcome, adastop
from acquisition.curves import area_under_curve
from acquisition.errors import AcquisitionError
from acquisition.registry import Strategy, StrategySpec
from annotator.common.errors import Invalid
from annotator.learning import catalogue
from annotator.learning.choosing import settings_json
from annotator.learning.encodings import current_encoding
from annotator.learning.lab_data import Counts, check_counts
from annotator.learning.models import Backtest, BacktestRun, LearningSettings

BASELINE = "random"
JUDGED = ("margin", "badge")  # what the Automatic preset decides between
BLOCK = 5  # seeds of one interim: with fewer no pair can be told apart at the level
LEVEL = 0.05
SEEDS = (3, 5, 10, 15, 20, 25)
MOST_STRATEGIES, MOST_STEPS = 12, 100
DEFAULT_BUDGET = 500
PERMUTATIONS = 10_000
# Signals that a replay can make: the others are known of items that people have had in hand only.
SIGNALS = frozenset({"proba", "features", "previous", "draws"})
PRESET, OWN = catalogue.PRESET, "own"


def candidates(task: str) -> tuple[Strategy, ...]:
    """Strategies of which a replay can make the signals."""
    return tuple(each for each in catalogue.strategies(task, cold=False) if each.spec.needs <= SIGNALS)


def left_out(task: str) -> list[tuple[StrategySpec, str]]:
    """Strategies that the project could use and a replay cannot, with the reason."""
    known = {each.spec.key for each in candidates(task)}
    return [
        (each.spec, f"needs {', '.join(sorted(each.spec.needs - SIGNALS))}, which a replay does not make")
        for each in catalogue.strategies(task, cold=False)
        if each.spec.key not in known
    ]


def choices(chosen: LearningSettings) -> list[tuple[str, str, str]]:
    """(key, title, advice) of everything that can be replayed: the choice in use where it is more than one strategy,
    presets, strategies."""
    now = in_use(chosen)
    own = [(OWN, "Strategy and composition as they are now", "")] if now == OWN else []
    made = [
        (f"{PRESET}{each.key}", f"{each.title} (preset)", each.advice) for each in presets.PRESETS.values()
    ]
    plain = [
        (each.spec.key, each.spec.title, each.spec.advice)
        for each in candidates(catalogue.task_of(chosen.project))
    ]
    return [*own, *made, *plain]


def in_use(chosen: LearningSettings) -> str:
    """The key of what the project uses now."""
    if chosen.preset:
        return f"{PRESET}{chosen.preset}"
    return OWN if chosen.composition else chosen.strategy


def title_in_use(chosen: LearningSettings) -> str:
    """What the project uses now, for people."""
    now = in_use(chosen)
    return next((title for key, title, _ in choices(chosen) if key == now), now)


def default_values(chosen: LearningSettings, counts: Counts) -> dict[str, Any]:
    """What the form begins with: what is in use, what the Automatic preset decides between, the baseline."""
    known = {key for key, _, _ in choices(chosen)}
    wanted = [key for key in dict.fromkeys([in_use(chosen), *JUDGED, BASELINE]) if key in known]
    pool = max(counts.pool("all"), 2)
    budget = min(DEFAULT_BUDGET, pool // 2)
    return {
        "strategies": wanted,
        "seeds": BLOCK,
        "budget": budget,
        "batch": max(1, min(chosen.retrain_labels, budget // 4)),
        "pool": "all",
    }


def checked_plan(chosen: LearningSettings, values: Mapping[str, Any], counts: Counts) -> dict[str, Any]:
    """The settings of a backtest, complete; Invalid or Conflict with what is wrong.

    values: `strategies` (keys, or objects with key, params and an own name), seeds, budget, batch, pool.
    """
    check_counts(counts, chosen.exploration_share)
    strategies = _checked_strategies(chosen, values["strategies"])
    seeds, batch, budget, pool = (
        int(values["seeds"]),
        int(values["batch"]),
        int(values["budget"]),
        values["pool"],
    )
    if seeds not in SEEDS:
        raise Invalid(f"{seeds} seeds are not one of {', '.join(map(str, SEEDS))}.", code="unfit_seeds")
    there = counts.pool(pool)
    if not 0 < batch <= budget <= there:
        raise Invalid(
            f"A budget of {budget} labels in batches of {batch} does not fit: {there} labels can be replayed.",
            code="unfit_budget",
            hint="Choose a budget up to that number, and a batch up to the budget.",
        )
    if budget > batch * MOST_STEPS:
        raise Invalid(
            f"More than {MOST_STEPS} batches a run are not replayed.",
            code="too_many_batches",
            hint="Choose a larger batch.",
        )
    encoding = current_encoding(chosen)
    return {
        "strategies": strategies,
        "seeds": seeds,
        "block": min(BLOCK, seeds),
        "batch": batch,
        "budget": budget,
        "pool": pool,
        "exploration_share": chosen.exploration_share,
        "randomness": chosen.randomness,
        "encoder": chosen.encoder,
        "encoder_digest": encoding.digest if encoding else "",
        "dim": encoding.dim if encoding else 0,
        "in_use": in_use(chosen),
    }


def _checked_strategies(chosen: LearningSettings, wanted: Iterable[Any]) -> list[dict[str, Any]]:
    """Each with a name, and the settings under which a round would rank as it does."""
    found = [_candidate(chosen, {"key": each} if isinstance(each, str) else dict(each)) for each in wanted]
    if BASELINE not in {each["key"] for each in found}:
        found.append(_candidate(chosen, {"key": BASELINE}))
    names = [each["name"] for each in found]
    if len(set(names)) < len(names):
        raise Invalid(
            "Each strategy needs a name of its own.", code="same_name", hint="Give `name` to variants."
        )
    if not 2 <= len(found) <= MOST_STRATEGIES:
        raise Invalid(
            f"Choose one to {MOST_STRATEGIES - 1} strategies to compare with random.", code="unfit_strategies"
        )
    return found


def _candidate(chosen: LearningSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    key = str(given.get("key", ""))
    titles = {each: title for each, title, _ in choices(chosen)}
    if key not in titles:
        raise Invalid(
            f"The strategy '{key}' cannot be replayed here.",
            code="unfit_strategy",
            hint=f"Choose of: {', '.join(titles)}.",
        )
    settings = settings_json(chosen)
    params = _checked_params(chosen, key, given.get("params"))
    if key.startswith(PRESET):
        settings |= {"preset": key.removeprefix(PRESET), "preset_params": params}
    elif key != OWN:
        settings |= {"preset": "", "composition": {}, "warm": {"key": key, "params": params}}
    if key == BASELINE:
        # Random from the first item on, or the start of the others would be in it.
        settings |= {"cold": {"key": BASELINE, "params": {}}, "cold_labels": 0}
    kept = ("preset", "preset_params", "composition", "cold_labels", "favourite", "warm", "cold")
    return {
        "name": str(given.get("name") or key)[:100],
        "key": key,
        "title": titles[key],
        "params": params,
        "settings": {name: settings[name] for name in kept},
    }


def _checked_params(chosen: LearningSettings, key: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Complete parameters; those that are not given are the project's own where it uses this, else the usual ones."""
    if key == OWN:
        return {}
    if key.startswith(PRESET):
        own = chosen.preset_params if key == in_use(chosen) else {}
        return catalogue.checked_preset(key.removeprefix(PRESET), own if given is None else given)
    own = chosen.strategy_params if key == chosen.strategy else {}
    try:
        return strategy_params.validate(registry.get(key).spec.params, own if given is None else given)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error


def batches_of(settings: Mapping[str, Any]) -> list[int]:
    whole, rest = divmod(int(settings["budget"]), int(settings["batch"]))
    return [int(settings["batch"])] * whole + ([rest] if rest else [])


def areas(runs: Sequence[BacktestRun]) -> dict[str, dict[int, float]]:
    """Area under the curve by name and seed, of runs that ended well."""
    found: dict[str, dict[int, float]] = {}
    for run in runs:
        if not run.error and run.labels:
            found.setdefault(run.name, {})[run.seed] = area_under_curve(run.labels, run.scores)
    return found


def compare(backtest: Backtest, runs: Sequence[BacktestRun]) -> Outcome:
    """AdaStop's verdicts on the complete blocks of seeds; strategies that failed once are out of it altogether."""
    failed = {run.name for run in runs if run.error}
    block, seeds = int(backtest.settings["block"]), int(backtest.settings["seeds"])
    known = areas(runs)
    blocks: dict[str, list[list[float]]] = {}
    for name in backtest.names:
        if name in failed:
            continue
        mine = known.get(name, {})
        blocks[name] = []
        for start in range(0, seeds, block):
            values = [mine[seed] for seed in range(start, start + block) if seed in mine]
            if len(values) < block:
                break
            blocks[name].append(values)
    return adastop(
        blocks, level=LEVEL, interims=seeds // block, permutations=PERMUTATIONS, seed=backtest.seed % 2**32
    )


def next_runs(backtest: Backtest, runs: Sequence[BacktestRun]) -> list[tuple[str, int]]:
    """(name, seed) of what is still to do before the next look at the verdicts; nothing once all is decided."""
    failed = {run.name for run in runs if run.error}
    done = {(run.name, run.seed) for run in runs}
    outcome = compare(backtest, runs)
    names = [name for name in backtest.names if name not in failed]
    block, seeds = int(backtest.settings["block"]), int(backtest.settings["seeds"])
    for start in range(0, seeds, block):
        wanted = names if start == 0 else [name for name in names if name in outcome.open]
        missing = [
            (name, seed)
            for seed in range(start, start + block)
            for name in wanted
            if (name, seed) not in done
        ]
        if missing:
            return missing
    return []


def left_by_name(backtest: Backtest, runs: Sequence[BacktestRun], open_: Collection[str]) -> dict[str, int]:
    """Runs of each strategy that remain while comparisons of those in `open_` are not decided."""
    failed = {run.name for run in runs if run.error}
    done = {(run.name, run.seed) for run in runs}
    block, seeds = int(backtest.settings["block"]), int(backtest.settings["seeds"])
    return {
        name: sum((name, seed) not in done for seed in range(seeds) if seed < block or name in open_)
        for name in backtest.names
        if name not in failed
    }


def most_left(backtest: Backtest, runs: Sequence[BacktestRun]) -> int:
    """Runs that remain if no further comparison is decided."""
    return sum(left_by_name(backtest, runs, compare(backtest, runs).open).values())
