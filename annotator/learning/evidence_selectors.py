"""The evidence as pages and the API show it."""

from __future__ import annotations

from typing import Any

from annotator.learning import evidence
from annotator.learning.evidence_stopping import AGREEMENT, MORE, TOLERANCE, labels_to_reach
from annotator.learning.models import Evidence
from annotator.learning.reasons import class_names
from annotator.projects.models import Project

ADVICE = {
    "stop": (
        "good",
        "More labels would change little",
        "Everything that can be judged says so. Whether to stop is for you to decide.",
    ),
    "go_on": ("warning", "Going on pays", "At least one sign says that the model still learns."),
    "unknown": ("warning", "Too early to say", "Fewer than two of the three signs can be judged yet."),
}
LEAST_EFFECTIVE = 30


def report(project: Project, target: str = "") -> dict[str, Any]:
    """Everything the page shows: `helping`, `stopping`, `estimates`, and the evidence they come from (None: never)."""
    found = evidence.latest(project.pk)
    return {
        "evidence": found,
        "helping": evidence.helping_of(project),
        "stopping": stopping_told(found.result["stopping"], target) if found else None,
        "estimates": _estimates(project, found) if found else None,
    }


def curves(project: Project) -> dict[str, Any]:
    """The two learning curves of the newest measurement, for the line chart."""
    found = evidence.latest(project.pk)
    known = found.result.get("helping", {}) if found else {}
    series = [
        {"name": name, "points": known[key]}
        for name, key in (("Random labels", "random"), ("Labels as served", "served"))
        if key in known
    ]
    return {
        "x_label": "labels",
        "y_label": "accuracy on random labels",
        "format": "percent",
        "least": 0,
        "most": 1,
        "empty": f"The curves are drawn from {evidence.LEAST_RANDOM} random labels on.",
        "series": series,
    }


def stopping_told(known: dict[str, Any], target: str = "") -> dict[str, Any]:
    """The criteria in words, the forecast with its cost in hours, and what `target` percent would take."""
    level, headline, text = ADVICE[known["advice"]]
    forecast = known["forecast"]
    told: dict[str, Any] = {
        "state": known["advice"],
        "level": level,
        "headline": headline,
        "text": text,
        "criteria": [_criterion(each, forecast) for each in known["criteria"]],
        "gain": forecast.get("gain"),
        "more": MORE,
        "hours": _hours(known["seconds"], MORE),
        "target": None,
    }
    wanted = _percent(target)
    if wanted is not None:
        told["target"] = {"percent": wanted, **_reach(known, wanted / 100)}
    return told


def _criterion(each: dict[str, Any], forecast: dict[str, Any]) -> dict[str, Any]:
    """`title`, `met` (None: cannot be judged), and the numbers as a sentence."""
    if each["key"] == "plateau":
        title, text = "Accuracy has stopped rising", "Fewer than four models were measured."
        if each["met"] is not None:
            text = (
                f"The last three models are {100 * each['rise']:+.1f} points beside the best before, over {each['since']:,} "
                f"labels; up to {100 * TOLERANCE:.1f} counts as flat."
            )
    elif each["key"] == "settled":
        title, text = (
            "Predictions have settled",
            "Fewer than three new models could be compared with the one before.",
        )
        if each["met"] is not None:
            text = f"The last three models agree with the one before at kappa {each['agreement']:.3f}; {AGREEMENT} counts as settled."
    else:
        title = f"{MORE} more labels would bring little"
        text = forecast.get("problem", "")
        if each["met"] is not None:
            gain = forecast["gain"]
            text = (
                f"Forecast: {100 * gain['value']:+.2f} points ({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f}); "
                f"less than {100 * TOLERANCE:.1f} counts as little."
            )
    return {"key": each["key"], "title": title, "met": each["met"], "text": text}


def _reach(known: dict[str, Any], accuracy: float) -> dict[str, Any]:
    """How many labels more, and in how many hours of work; or why that cannot be said."""
    forecast = known["forecast"]
    if "problem" in forecast:
        return {"text": forecast["problem"]}
    if known["points"] and known["points"][-1]["accuracy"] >= accuracy:
        return {"text": "The newest model is there already."}
    found = labels_to_reach(forecast, accuracy)
    if found is None:
        return {
            "text": "The forecast never reaches it: another encoder or better labels may, more labels alone will not."
        }
    text = f"About {found['value']:,.0f} more labels ({found['low']:,.0f} to {found['high']:,.0f})"
    hours = _hours(known["seconds"], found["value"])
    return {
        "labels": found,
        "hours": hours,
        "text": f"{text}, {hours:,.1f} hours of work." if hours else f"{text}.",
    }


def _hours(seconds: float | None, labels: float) -> float | None:
    return None if seconds is None else round(seconds * labels / 3600, 2)


def _percent(text: str) -> float | None:
    try:
        value = float(text[:10])
    except ValueError:
        return None
    return value if 0 < value < 100 else None


def _estimates(project: Project, found: Evidence) -> dict[str, Any]:
    known = dict(found.result["estimates"])
    names = class_names(project.schema.pk)
    known["rows"] = [
        row | {"name": names.get(row["name"], row["name"]) if row["kind"] == "class" else row["name"]}
        for row in known["rows"]
    ]
    known["uneven"] = bool(known["logged"]) and known["effective"] < LEAST_EFFECTIVE
    return known
