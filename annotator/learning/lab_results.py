"""What the runs of a backtest say together: curves with bands, areas, labels saved, verdicts, and what to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acquisition.adastop import Verdict
from acquisition.curves import Interval, area_under_curve, labels_saved, mean_interval, paired_difference
from annotator.learning.lab_plan import BASELINE, LEVEL, areas, compare
from annotator.learning.models import Backtest, BacktestRun

Curves = dict[str, dict[int, BacktestRun]]

LEAST_SEEDS = 3  # of fewer, an interval says more about chance than about the strategy


def summary(backtest: Backtest, runs: Sequence[BacktestRun]) -> dict[str, Any]:
    """Plain JSON: `strategies` in the order of their areas, `verdicts` of each pair, `advice`, `notes`."""
    by_name: Curves = {}
    errors: dict[str, str] = {}
    for run in runs:
        if run.error:
            errors.setdefault(run.name, run.error)
        else:
            by_name.setdefault(run.name, {})[run.seed] = run
    outcome = compare(backtest, runs)
    baseline = next((each["name"] for each in backtest.settings["strategies"] if each["key"] == BASELINE), "")
    rows = [
        _strategy(each, by_name, baseline, errors.get(each["name"], ""))
        for each in backtest.settings["strategies"]
    ]
    rows.sort(key=lambda row: -(row["area"]["value"] if row["area"] else -1))
    return {
        "runs": sum(not run.error for run in runs),
        "seconds": round(sum(run.seconds for run in runs), 1),
        "strategies": rows,
        "baseline": baseline,
        "verdicts": [_verdict(each, backtest.titles, seen=outcome.blocks > 0) for each in outcome.verdicts],
        "level": LEVEL,
        "blocks": outcome.blocks,
        "interims": outcome.interims,
        "advice": _advice(backtest, rows, outcome.verdicts),
        "notes": _notes(backtest),
    }


def chart(backtest: Backtest, runs: Sequence[BacktestRun]) -> dict[str, Any]:
    """The learning curves for the line chart: mean accuracy over seeds with Student's 95 % interval."""
    series = []
    for each in backtest.settings["strategies"]:
        mine = [run for run in runs if run.name == each["name"] and not run.error and run.labels]
        if not mine:
            continue
        labels = mine[0].labels
        scores = np.array([run.scores for run in mine if run.labels == labels])
        points = []
        for place, count in enumerate(labels):
            told = mean_interval(scores[:, place])
            point = {"x": count, "y": round(told.estimate, 5)}
            if len(scores) >= LEAST_SEEDS:
                point |= {"low": round(max(0.0, told.low), 5), "high": round(min(1.0, told.high), 5)}
            points.append(point)
        series.append({"name": backtest.titles[each["name"]], "points": points})
    return {
        "x_label": "labels",
        "y_label": "accuracy on held-out labels",
        "format": "percent",
        "least": 0,
        "most": 1,
        "empty": "The curves begin with the first run that ends.",
        "series": series,
    }


def _strategy(each: dict[str, Any], by_name: Curves, baseline: str, error: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        **{name: each[name] for name in ("name", "key", "title", "params")},
        "error": error,
        "seeds": 0,
        "area": None,
        "final": None,
        "saved": None,
        "difference": None,
    }
    mine = by_name.get(each["name"], {})
    if not mine or error:
        return row
    own = {seed: area_under_curve(run.labels, run.scores) for seed, run in mine.items()}
    row["seeds"] = len(mine)
    row["area"] = _share(list(own.values()))
    row["final"] = _share([run.scores[-1] for run in mine.values()])
    common = sorted(set(mine) & set(by_name.get(baseline, {})))
    if each["name"] == baseline or not common:
        return row
    theirs = by_name[baseline]
    labels = mine[common[0]].labels
    ours, others = (_matrix(runs, common, labels) for runs in (mine, theirs))
    rng = np.random.default_rng(0)
    row["saved"] = _json(labels_saved(labels, ours, others, rng=rng), len(common), digits=0)
    row["difference"] = _json(
        paired_difference(
            [own[seed] for seed in common],
            [area_under_curve(theirs[seed].labels, theirs[seed].scores) for seed in common],
            rng=rng,
        ),
        len(common),
    )
    return row


def _matrix(runs: dict[int, BacktestRun], seeds: list[int], labels: list[int]) -> npt.NDArray[np.float64]:
    """Scores (seeds, k) at these labels."""
    return np.array([np.interp(labels, runs[seed].labels, runs[seed].scores) for seed in seeds])


def _share(values: Sequence[float]) -> dict[str, float | None]:
    """Their mean; Student's interval ends where shares end."""
    told = mean_interval(values)
    return _json(Interval(told.estimate, max(0.0, told.low), min(1.0, told.high)), len(values))


def _json(told: Interval, seeds: int, digits: int = 5) -> dict[str, float | None]:
    """`low` and `high` are None with too few seeds for an interval."""
    told_of = seeds >= LEAST_SEEDS
    return {
        "value": round(told.estimate, digits),
        "low": round(told.low, digits) if told_of else None,
        "high": round(told.high, digits) if told_of else None,
    }


def _verdict(each: Verdict, titles: Mapping[str, str], *, seen: bool) -> dict[str, Any]:
    """As stored: the pair, what was decided, at which look, and the sentence that says so. `seen`: it was looked at."""
    first, second = titles[each.first], titles[each.second]
    if each.decision in ("larger", "smaller"):
        better, worse = (first, second) if each.decision == "larger" else (second, first)
        text = f"{better} is better than {worse}."
    elif each.decision == "open":
        text = f"{first} and {second}: not decided yet."
    else:
        text = f"{first} and {second}: no difference could be told with these seeds."
    return {
        "first": each.first,
        "second": each.second,
        "pair": f"{first} – {second}",
        "decision": each.decision,
        "difference": round(each.difference, 5) if seen else None,
        "interim": each.interim,
        "text": text,
    }


def beaten(verdicts: Sequence[Any], better: str, worse: str) -> bool:
    """Whether a verdict says that the one is better than the other."""
    for each in verdicts:
        first, second, decision = (
            (each["first"], each["second"], each["decision"])
            if isinstance(each, dict)
            else (each.first, each.second, each.decision)
        )
        if (first, second, decision) in {(better, worse, "larger"), (worse, better, "smaller")}:
            return True
    return False


def better_than_used(result: Mapping[str, Any], used: str) -> set[str]:
    """Names of strategies that a verdict says are better than what is in use, the one of that key."""
    rows = result.get("strategies", [])
    mine = [row["name"] for row in rows if row["key"] == used]
    verdicts = result.get("verdicts", [])
    return {row["name"] for row in rows if any(beaten(verdicts, row["name"], name) for name in mine)}


def _advice(backtest: Backtest, rows: list[dict[str, Any]], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Which strategy has the largest area, and whether that is more than chance."""
    known = [row for row in rows if row["area"]]
    if not known:
        return {"best": None, "text": "No run has ended yet."}
    best, in_use = known[0], backtest.settings["in_use"]
    others = [row["name"] for row in known[1:]]
    surely = [name for name in others if beaten(verdicts, best["name"], name)]
    current = next((row["name"] for row in known if row["key"] == in_use), None)
    if best["name"] == current:
        text = f"{best['title']}, which is in use, has the largest area under its curve."
    elif current is not None and current in surely:
        text = (
            f"{best['title']} is better than {backtest.titles[current]}, which is in use: "
            "switching pays on labels like these."
        )
    elif len(surely) == len(others) and others:
        text = f"{best['title']} is better than all the others."
    else:
        text = f"{best['title']} has the largest area, but not surely more than every other: staying costs little."
    return {"best": best["name"], "better_than": surely, "text": text}


def _notes(backtest: Backtest) -> list[str]:
    """What a reader must know to read the numbers rightly."""
    facts, settings = backtest.facts, backtest.settings
    if not facts:
        return []
    how = {
        "test": "Judged on the labels of the test split, which nobody was served.",
        "random": "Judged on randomly drawn labels only, another half of them for each seed.",
        "all": "Every item has a label, so any of them can judge: another half for each seed.",
    }
    notes = [how[facts["how"]]]
    if facts["how"] == "random" and settings["pool"] == "all" and facts["chosen"]:
        share = facts["chosen"] / facts["pool"] if facts["pool"] else 0
        notes.append(
            f"{share:.0%} of the labels to choose from were chosen by a strategy before: random draws from them are better "
            "than random draws from the project, so that savings look smaller than they are."
        )
    if settings["budget"] > 0.6 * facts["pool"]:
        notes.append("The budget takes most of the labels there are: towards its end all curves must meet.")
    if facts["of"] > facts["labels"]:
        notes.append(f"A random part of {facts['labels']:,} of the {facts['of']:,} labels was used.")
    if settings["seeds"] < 5:
        notes.append("Fewer than five seeds a strategy: no pair can be told apart.")
    return notes


def best_known(backtests: Sequence[Backtest]) -> dict[str, Any] | None:
    """The best strategy of the newest of these backtests in which any was measured."""
    for backtest in backtests:
        for row in backtest.result.get("strategies", []):
            if row["area"]:
                return dict(row) | {"backtest": backtest.pk}
    return None


__all__ = ["areas", "beaten", "best_known", "better_than_used", "chart", "summary"]
