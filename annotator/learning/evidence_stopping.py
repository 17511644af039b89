"""The stopping adviser: what the record of models and rounds says about going on. No torch here."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import connection

from acquisition.curves import Interval
from acquisition.stopping import Forecast, ForecastError, PowerLaw, forecast, plateau, settled
from annotator.learning.models import ModelVersion, Round
from annotator.projects.models import Project

TOLERANCE, WINDOW = 0.005, 3
AGREEMENT = 0.99
MORE = 100  # labels of which the gain is forecast
RESAMPLES = 100
LEVEL = 0.8
LATEST_ROUNDS = 20

SECONDS = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), count(seconds) FROM (
  SELECT seconds FROM labeling_annotation WHERE project_id = %s AND current AND state = 'submitted' AND seconds > 0
  ORDER BY created_at DESC LIMIT 1000) latest
"""


def stopping(project: Project, *, seed: int) -> dict[str, Any]:
    """Three criteria with their numbers, the forecast with its resamples, the cost of a label, and what follows."""
    points = measured_points(project)
    labels = [point["labels"] for point in points]
    scores = [point["accuracy"] for point in points]
    flat = plateau(labels, scores, tolerance=TOLERANCE, window=WINDOW) if points else None
    agreements = agreements_of(project)
    still = settled(agreements, threshold=AGREEMENT, window=WINDOW)
    told = _forecast(points, seed)
    criteria: list[dict[str, Any]] = [
        {
            "key": "plateau",
            "met": flat.flat if flat else None,
            "rise": round(flat.rise, 5) if flat else None,
            "since": round(flat.since) if flat else None,
        },
        {
            "key": "settled",
            "met": still,
            "agreement": round(float(np.mean(agreements[-WINDOW:])), 5) if agreements else None,
        },
        {"key": "forecast", "met": told["gain"]["high"] < TOLERANCE if "gain" in told else None},
    ]
    return {
        "criteria": criteria,
        "points": points,
        "forecast": told,
        "seconds": seconds_per_label(project),
        "advice": advice([each["met"] for each in criteria]),
    }


def measured_points(project: Project) -> list[dict[str, Any]]:
    """Accuracy on the random share by number of labels, the newest model of each number, oldest first."""
    found: dict[int, dict[str, Any]] = {}
    for version in ModelVersion.objects.filter(project=project).order_by("number"):
        metrics = version.metrics
        if metrics.get("state") == "measured" and metrics["accuracy"]["value"] is not None:
            found[version.n_labels] = {
                "labels": version.n_labels,
                "accuracy": round(metrics["accuracy"]["value"], 5),
                "n": metrics["n"],
            }
    return [found[count] for count in sorted(found)]


def agreements_of(project: Project) -> list[float]:
    """Kappa of each new model with the one before, oldest first, as the rounds noted it."""
    rounds = Round.objects.filter(project=project, state=Round.State.PUBLISHED, model__isnull=False)
    known = rounds.order_by("-number").values_list("health", flat=True)[:LATEST_ROUNDS]
    return [health["stability"]["kappa"] for health in reversed(known) if health.get("stability")]


def seconds_per_label(project: Project) -> float | None:
    """Median seconds that people take, for all the answers that a label takes; None while nobody was timed."""
    with connection.cursor() as cursor:
        cursor.execute(SECONDS, [project.pk])
        median, _ = cursor.fetchone()
    if median is None:
        return None
    answers = 1 + (project.overlap - 1) * project.overlap_share
    return round(float(median) * answers, 2)


def advice(met: list[bool | None]) -> str:
    """'stop' when at least two criteria can be judged and all of those are met, 'go_on' when one is not, else 'unknown'."""
    known = [each for each in met if each is not None]
    if any(each is False for each in known):
        return "go_on"
    return "stop" if len(known) >= 2 else "unknown"


def _forecast(points: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    try:
        told = forecast(
            [point["labels"] for point in points],
            [1 - point["accuracy"] for point in points],
            judged=[point["n"] for point in points],
            rng=np.random.default_rng([seed, 7]),
            resamples=RESAMPLES,
        )
    except ForecastError as error:
        return {"problem": str(error)}
    return {
        "labels": told.labels,
        "gain": _json(told.gain(MORE, level=LEVEL)),
        "law": _numbers(told.law),
        "resamples": [_numbers(law) for law in told.resamples],
    }


def labels_to_reach(told: dict[str, Any], accuracy: float) -> dict[str, float] | None:
    """Further labels until this accuracy, from a stored forecast; None where it would never be reached."""
    if "law" not in told:
        return None
    stored = Forecast(
        _law(told["law"]), tuple(_law(numbers) for numbers in told["resamples"]), float(told["labels"])
    )
    found = stored.labels_to(1 - accuracy, level=LEVEL)
    if found is None:
        return None
    now = stored.labels
    return _json(
        Interval(*(max(0.0, value - now) for value in (found.estimate, found.low, found.high))), digits=0
    )


def _numbers(law: PowerLaw) -> list[float]:
    return [float(f"{value:.6g}") for value in (law.alpha, law.beta, law.gamma, law.fit)]


def _law(numbers: list[float]) -> PowerLaw:
    return PowerLaw(*numbers)


def _json(told: Interval, digits: int = 5) -> dict[str, float]:
    return {
        "value": round(told.estimate, digits),
        "low": round(told.low, digits),
        "high": round(told.high, digits),
    }
