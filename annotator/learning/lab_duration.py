"""How long a backtest takes, said before it begins and while it runs: from runs that were measured, else from what is usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from acquisition import registry
from annotator.learning.lab_plan import batches_of, left_by_name
from annotator.learning.models import Backtest, BacktestRun, LearningSettings

# Seconds of a step (fit, tune now and then, rank) before anything was measured here: a constant, and one for each
# number that a fit looks at.
STEP_SECONDS, STEP_PER_NUMBER = 0.12, 6e-8
FOREIGN_SECONDS = (
    6.0  # more a step for strategies of third parties, which begin a process of their own each time
)
LOOKED_AT = 60  # newest runs


@dataclass(frozen=True)
class Duration:
    """Seconds a backtest takes: if every comparison is decided at the first look, and if none ever is; `runs`: one run of
    each strategy by name."""

    low: float
    high: float
    measured: bool
    runs: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"low": round(self.low, 1), "high": round(self.high, 1), "measured": self.measured}

    def stored(self) -> dict[str, Any]:
        """What a backtest keeps: with the runs, from which the time that remains is told."""
        return self.as_json() | {"runs": {name: round(value, 2) for name, value in self.runs.items()}}


def duration(chosen: LearningSettings, settings: Mapping[str, Any], classes: int) -> Duration:
    """By earlier runs of this project on these features, for other packages' strategies of any project; else by what is
    usual."""
    steps = len(batches_of(settings))
    mine = _step_seconds(
        BacktestRun.objects.filter(
            backtest__project=chosen.project_id, backtest__settings__encoder_digest=settings["encoder_digest"]
        )
    )
    foreign = known_foreign()
    elsewhere = _step_seconds(BacktestRun.objects.filter(name__in=foreign)) if foreign else {}
    typical = STEP_SECONDS + STEP_PER_NUMBER * settings["budget"] * max(1, settings["dim"]) * max(2, classes)
    usual = (
        _mean(value for name, values in mine.items() if name not in foreign for value in values) or typical
    )
    # Another package's strategy costs what its process costs: others of them tell more than our own do.
    usual_foreign = (
        _mean(value for values in elsewhere.values() for value in values) or usual + FOREIGN_SECONDS
    )
    runs = {}
    for each in settings["strategies"]:
        name, theirs = each["name"], each["key"] in foreign
        guess = usual_foreign if theirs else usual
        runs[name] = steps * (_mean(mine.get(name, ())) or _mean(elsewhere.get(each["key"], ())) or guess)
    of_a_seed = sum(runs.values())
    return Duration(of_a_seed * settings["block"], of_a_seed * settings["seeds"], bool(mine), runs)


def seconds_left(
    backtest: Backtest, runs: Sequence[BacktestRun], *, now: datetime | None = None
) -> float | None:
    """Seconds until the end if no further comparison is decided; None before it runs.

    Of each strategy the mean of its runs here, before its first one what was said before: strategies differ so much that
    the pace so far tells little of what is to come.
    """
    job = backtest.job
    if job is None or not job.active or job.started_at is None:
        return None
    measured: dict[str, list[float]] = {}
    for run in runs:
        if not run.error:
            measured.setdefault(run.name, []).append(run.seconds)
    said = backtest.estimate.get("runs", {})
    known = {name: _mean(measured.get(name, ())) or said.get(name) for name in backtest.names}
    usual = _mean(value for value in known.values() if value)
    # As the worker last saw it: a page does not permute.
    verdicts = backtest.result.get("verdicts", [])
    open_ = {each[side] for each in verdicts if each["decision"] == "open" for side in ("first", "second")}
    left = left_by_name(backtest, runs, open_ if verdicts else backtest.names)
    if usual is None or not sum(left.values()):
        return None
    total = sum(count * (known[name] or usual) for name, count in left.items())
    # One of them is under way since the newest ended.
    since = max([job.started_at, *(run.created_at for run in runs)])
    spent = ((now or timezone.now()) - since).total_seconds()
    longest = max(known[name] or usual for name, count in left.items() if count)
    return max(0.0, total - min(max(0.0, spent), longest))


def known_foreign() -> frozenset[str]:
    """Keys of the strategies that come from other packages."""
    return frozenset(each.spec.key for each in registry.available() if each.source)


def _step_seconds(runs: Any) -> dict[str, list[float]]:
    """Seconds a step of the newest of these runs that ended well, by name."""
    found: dict[str, list[float]] = {}
    for run in runs.filter(error="").order_by("-pk").only("seconds", "labels", "name")[:LOOKED_AT]:
        found.setdefault(run.name, []).append(run.seconds / max(1, len(run.labels)))
    return found


def _mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    told = list(values)
    return sum(told) / len(told) if told else None
