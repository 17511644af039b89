"""Reads about learning, for pages, the API and other apps. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils import timezone
from django.utils.timesince import timesince

from acquisition.composition import OPTIONS
from acquisition.errors import AcquisitionError
from acquisition.presets import State
from annotator.common.errors import Conflict
from annotator.items.features import open_store
from annotator.items.models import Item
from annotator.labeling import queue
from annotator.learning import catalogue, choosing
from annotator.learning.arrays import load_array
from annotator.learning.choosing import Chosen, settings_json
from annotator.learning.encodings import current_encoding
from annotator.learning.errors import RankingFailed
from annotator.learning.folders import round_folder
from annotator.learning.models import LearningSettings, ModelVersion, Round
from annotator.projects.models import Project

OLD_HOURS = 24


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model in use thinks of some rows: probabilities (n, C), NaN where a row was not scored yet."""

    model: ModelVersion
    round: int
    class_keys: list[str]
    proba: npt.NDArray[np.float32]


def model_in_use(project_id: int) -> ModelVersion | None:
    return ModelVersion.objects.filter(project_id=project_id, in_use=True).first()


def latest_round(project_id: int) -> Round | None:
    return Round.objects.filter(project_id=project_id).select_related("model").order_by("-number").first()


def served_round(project_id: int) -> Round | None:
    """The round whose ranking is the queue now."""
    return (
        Round.objects.filter(project_id=project_id, published_at__isnull=False)
        .select_related("model")
        .order_by("-published_at")
        .first()
    )


def predict(project: Project, rows: npt.NDArray[np.int64]) -> Predictions:
    """Probabilities of the model in use for any rows, test items included; Conflict while there is no model.

    They are those of the newest round that scored with it: one file, read at the rows asked for.
    """
    model = model_in_use(project.pk)
    if model is None:
        raise Conflict("There is no model yet.", code="no_model", hint="Label items of at least two classes.")
    scored = Round.objects.filter(project=project, model=model, published_at__isnull=False).order_by(
        "-number"
    )
    for round_ in scored:
        path = round_folder(project.pk, round_.number) / "proba.npy"
        if path.exists():
            stored = load_array(path)
            keys = list(round_.settings["class_keys"])
            proba = np.full((len(rows), len(keys)), np.nan, dtype=np.float32)
            inside = rows < len(stored)
            proba[inside] = stored[rows[inside]]
            return Predictions(model, round_.number, keys, proba)
    raise Conflict(
        f"The scores of model {model.number} are not there yet.", code="no_scores", hint="Wait for its round."
    )


def predictions_page(project: Project, *, split: str, after: int, size: int) -> dict[str, Any]:
    """A page of predictions by row: `results` and the `next_after` to go on with."""
    items = list(
        Item.objects.live()
        .filter(project=project, split=split, row__gt=after)
        .order_by("row")
        .values_list("pk", "row", "external_id")[: size + 1]
    )
    more, items = len(items) > size, items[:size]
    found = predict(project, np.array([row for _, row, _ in items], dtype=np.int64))
    results = [
        {"item": item, "row": row, "external_id": external_id, "classes": _classes(found, place)}
        for place, (item, row, external_id) in enumerate(items)
    ]
    return {
        "model": found.model.number,
        "round": found.round,
        "source": None,
        "results": results,
        "next_after": items[-1][1] if more else None,
    }


def _classes(found: Predictions, place: int) -> dict[str, float] | None:
    """Class key -> probability, None for an item that was not scored yet."""
    if np.isnan(found.proba[place]).any():
        return None
    return {key: round(float(p), 5) for key, p in zip(found.class_keys, found.proba[place], strict=True)}


def health(project: Project) -> dict[str, Any]:
    """What the header says about the ranking: `level`, `label`, `detail`, `title`, and the facts behind them."""
    served, latest = served_round(project.pk), latest_round(project.pk)
    running = latest if latest is not None and latest.active else None
    failed = latest if latest is not None and latest.state == Round.State.FAILED else None
    facts: dict[str, Any] = {
        "served_round": served.number if served else None,
        "model": served.model.number if served and served.model else None,
        "strategy": served.strategy if served else None,
        "published_at": served.published_at if served else None,
        "cold": served.model is None if served else True,
        "running": {"round": running.number, "step": running.step} if running else None,
        "last_failure": _failure(failed),
        "open_entries": queue.open_entries(project.pk),
        "features": features_share(project),
        **_ranking_facts(served, project),
    }
    return facts | _badge(facts, served, running)


def features_share(project: Project) -> dict[str, Any]:
    """How many live items have features under the chosen encoder."""
    chosen = LearningSettings.objects.filter(project=project).first()
    encoding = current_encoding(chosen) if chosen else None
    store = open_store(project.pk, encoding.digest) if encoding else None
    rows = project.next_row
    return {"rows": rows, "encoded": int((store.state(rows) == 1).sum()) if store else 0}


def _ranking_facts(served: Round | None, project: Project) -> dict[str, Any]:
    if served is None:
        return {"scored_share": 0.0, "age_seconds": None, "degraded": []}
    known = served.health
    pool, scored = known.get("pool", 0), known.get("scored", 0)
    # Items that came after the round was frozen are not scored by its model either.
    pool += max(0, project.next_row - served.n_rows)
    age = (timezone.now() - served.published_at).total_seconds() if served.published_at else None
    names = ("spread", "ties", "exploration_share", "lowest", "median", "highest", "notes")
    return {
        "scored_share": scored / pool if pool else 1.0,
        "age_seconds": age,
        "degraded": known.get("degraded", []),
        "timings": served.timings,
        **{name: known.get(name) for name in names},
    }


def _failure(failed: Round | None) -> dict[str, Any] | None:
    if failed is None:
        return None
    known: dict[str, Any] = failed.health.get("failed", {})
    return {"round": failed.number, "what": failed.error, **known}


def _badge(facts: dict[str, Any], served: Round | None, running: Round | None) -> dict[str, str]:
    """One line for the header. A failure is never hidden behind an older success."""
    step = Round.Step(running.step).label if running else ""
    if facts["last_failure"]:
        failure = facts["last_failure"]
        title = f"Round {failure['round']} failed: {failure['what']} Served: {failure.get('served', 'as before')}."
        return {"level": "bad", "label": "Ranking failed", "detail": step, "title": title}
    if served is None:
        detail = step or ("No items yet" if not facts["features"]["rows"] else "Preparing the queue")
        return {"level": "warning", "label": "No ranking", "detail": detail, "title": ""}
    if facts["cold"]:
        order = "random order" if served.strategy == "random" else f"order by {_title(served)}"
        title = f"No model yet: label items of at least two classes. {_served(facts, served)}"
        return {"level": "warning", "label": "No model yet", "detail": step or order, "title": title}
    old = (facts["age_seconds"] or 0) > OLD_HOURS * 3600
    level = "warning" if facts["degraded"] or old else "good"
    detail = step or f"{100 * facts['scored_share']:.0f} % of the pool scored"
    title = " ".join([*facts["degraded"], _served(facts, served)])
    return {"level": level, "label": f"Model {facts['model']}", "detail": detail, "title": title}


def _title(round_: Round) -> str:
    return catalogue.strategy_title(round_.strategy_json())


def _served(facts: dict[str, Any], served: Round) -> str:
    """What is served, how old it is, and how well its utilities tell items apart."""
    said = [f"Served: round {served.number}, by {_title(served)}, {timesince(facts['published_at'])} old"]
    if facts.get("spread") is not None:
        said.append(f"utility spread {facts['spread']:.2g}, {100 * facts['ties']:.0f} % tied")
    if facts.get("exploration_share") is not None:
        said.append(f"{100 * facts['exploration_share']:.0f} % random draws")
    return "; ".join(said) + "."


def ways(chosen: LearningSettings) -> dict[str, Chosen]:
    """What these settings mean at the `start` and `then`; RankingFailed or AcquisitionError where they mean nothing."""
    classes = len(chosen.project.schema.active_classes())
    settings = settings_json(chosen)
    until = choosing.plan_of(settings).labels_per_class * classes
    return {
        stage: choosing.choose(
            settings,
            State(
                labels=labels,
                classes=classes,
                task=catalogue.task_of(chosen.project),
                signals=choosing.signals(model=model, encoded=True),
                favourite=str(chosen.favourite.get("strategy", "")),
            ),
        )
        for stage, labels, model in (("start", 0, False), ("then", until, True))
    }


def decided(chosen: LearningSettings) -> dict[str, Any]:
    """What the preset decides, as values of settings without one; {} where it can decide nothing."""
    try:
        found = ways(chosen)
        until = choosing.plan_of(settings_json(chosen)).labels_per_class
    except (RankingFailed, AcquisitionError):
        return {}
    start, then = (found[stage].composition for stage in ("start", "then"))
    options = {name: value for name, value in then.options.items() if value != OPTIONS[name]["default"]}
    terms = [term.as_json() for term in then.terms[1:]]
    return {
        "strategy": then.terms[0].strategy,
        "strategy_params": dict(then.terms[0].params),
        "cold_strategy": start.terms[0].strategy,
        "cold_params": dict(start.terms[0].params),
        "cold_labels": until,
        "composition": {"terms": terms, "options": options},
    }


def outlook(chosen: LearningSettings) -> str:
    """In words: how items are chosen now, until when, and how then; or why they cannot be."""
    latest, model = latest_round(chosen.project_id), model_in_use(chosen.project_id)
    # A round that has only begun has counted none yet.
    labels = max(latest.n_labels if latest else 0, model.n_labels if model else 0)
    try:
        found = ways(chosen)
        per_class = choosing.plan_of(settings_json(chosen)).labels_per_class
    except (RankingFailed, AcquisitionError) as error:
        return str(error)
    start, then = found["start"], found["then"]
    until = per_class * len(chosen.project.schema.active_classes())
    if model is not None and labels >= until:
        said = [
            f"Items are chosen by {then.title}, with model {model.number} and {labels:,} labels; "
            f"{start.title} was for the beginning."
        ]
        return " ".join(filter(None, [*said, then.fell_back]))
    if labels < until:
        begins = f"Begins with {start.title} until {until:,} labels ({labels:,} so far)"
    else:
        begins = f"Begins with {start.title} until there is a model"
    said = [f"{begins}, then {then.title}."]
    return " ".join([*said, *dict.fromkeys(filter(None, [start.fell_back, then.fell_back]))])


def learning_curve(project: Project) -> list[dict[str, Any]]:
    """Each model's measures by its number of labels, oldest first; models without enough random labels say so."""
    versions = ModelVersion.objects.filter(project=project).order_by("number")
    return [
        {
            "model": version.number,
            "labels": version.n_labels,
            "state": version.metrics.get("state", "few"),
            "n": version.metrics.get("n", 0),
            "accuracy": version.metrics.get("accuracy"),
            "macro_f1": version.metrics.get("macro_f1"),
            "calibration_error": version.metrics.get("calibration_error"),
            "created_at": version.created_at,
        }
        for version in versions
    ]
