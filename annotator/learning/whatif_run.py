"""Previews and replays as jobs: rankings in a folder of their own, of which nothing is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from django.utils import timezone

from annotator.common.errors import AnnotatorError, NotFound
from annotator.items.models import Item
from annotator.jobs.services import JobCancelled, JobRun
from annotator.labeling.models import ItemLease
from annotator.learning.folders import round_folder
from annotator.learning.lab_plan import PRESET, title_in_use
from annotator.learning.models import LearningSettings, Round
from annotator.learning.opening import new_seed
from annotator.learning.replay import replay_round
from annotator.learning.selectors import model_in_use, served_round
from annotator.learning.steps.freeze import freeze
from annotator.learning.steps.rank import rank
from annotator.learning.whatif import SHOWN, next_in_queue
from annotator.learning.window import Window
from annotator.learning.work import Work
from annotator.projects.models import Project
from models_zoo.errors import Cancelled, ModelError


def run_whatif(run: JobRun) -> dict[str, Any]:
    """`now`: item ids; `then`: items with why; both the next fifty. Ranked with the model in use and today's pool."""
    project = Project.objects.get(pk=run.job.project_id or 0)
    key, params = str(run.job.params["strategy"]), run.job.params["params"]
    model, served = model_in_use(project.pk), served_round(project.pk)
    round_ = Round(
        project=project,
        number=served.number if served else 0,
        trigger="preview",
        # The seed of what is served: what the strategies have in common is then drawn alike.
        seed=served.seed if served else new_seed(),
        model=model,
        settings={"use_model": model.number} if model else {},
    )
    root = round_folder(project.pk, 0).parent
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix="preview-") as folder:
        work = Work(round_, progress=run.progress, should_stop=run.should_stop)
        vars(work)["folder"] = Path(folder)
        run.progress(0, stage="Collecting labels")
        freeze(work)
        round_.settings |= _tried(key, params, cold=model is None)
        run.progress(0, stage="Ranking")
        with _typed_errors():
            rank(work)
        then = _head(work, Path(folder))
    now = next_in_queue(project.pk)
    return {
        "strategy": key,
        "in_use": title_in_use(LearningSettings.objects.get(project=project)),
        "model": model.number if model else None,
        "now": now,
        "then": then,
        "common": len({row["item"] for row in then} & set(now)),
        "notes": [note["message"] for note in round_.health.get("notes", [])],
    }


@contextmanager
def _typed_errors() -> Iterator[None]:
    """What the models say, in the product's words: a stop that was asked for is no failure."""
    try:
        yield
    except Cancelled as error:
        raise JobCancelled from error
    except ModelError as error:
        raise AnnotatorError(str(error), code=error.code, status=500) from error


def _tried(key: str, params: dict[str, Any], *, cold: bool) -> dict[str, Any]:
    """The settings of a round that ranks by this strategy or preset alone."""
    if key.startswith(PRESET):
        return {"preset": key.removeprefix(PRESET), "preset_params": params}
    tried = {"key": key, "params": params}
    alone = {"preset": "", "composition": {}, "cold_labels": 0, "warm": tried}
    return alone | {"cold": tried} if cold else alone


def _head(work: Work, folder: Path) -> list[dict[str, Any]]:
    """The first fifty that would be served: what somebody has in hand is out of the queue, here as there."""
    held = set(
        ItemLease.objects.filter(
            project_id=work.round.project_id, returned_at=None, expires_at__gt=timezone.now()
        ).values_list("item_id", flat=True)
    )
    rows: list[dict[str, Any]] = []
    for candidate in Window(work.round, folder, item_ids=work.pool.item_id).candidates():
        if candidate.item_id in held:
            continue
        served = candidate.served
        rows.append(
            {
                "item": candidate.item_id,
                "why": served["reason"]["text"],
                "utility": served["utility"],
                "exploration": served["exploration"],
            }
        )
        if len(rows) == SHOWN:
            break
    return rows


def run_replay(run: JobRun) -> dict[str, Any]:
    """The round's list again: whether it is the same, how long, its first fifty items."""
    round_ = Round.objects.filter(pk=run.job.params["round"]).select_related("model").first()
    if round_ is None:
        raise NotFound("This round is gone.")
    run.progress(0, stage="Ranking again")
    with _typed_errors():
        done = replay_round(round_, progress=run.progress, should_stop=run.should_stop)
    head = done.rows[:SHOWN]
    ids = dict(
        Item.objects.filter(project_id=round_.project_id, row__in=np.asarray(head).tolist()).values_list(
            "row", "pk"
        )
    )
    return {
        "round": round_.number,
        "same": done.same,
        "count": len(done.rows),
        "items": [ids[row] for row in head.tolist() if row in ids],
    }
