"""A queue at once: a random window, without a model and without a worker."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from annotator.common.events import send_event
from annotator.labeling import queue
from annotator.learning.arrays import save_array, save_json
from annotator.learning.folders import round_folder
from annotator.learning.models import LearningSettings, Round
from annotator.learning.pool import pack_rows, servable_pool
from annotator.learning.stream import random_stream
from annotator.learning.window import Window, lock_publishing
from annotator.projects.models import Project


def next_number(project_id: int) -> int:
    highest = Round.objects.filter(project_id=project_id).aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


def new_seed() -> int:
    return secrets.randbits(62)


def publish_random(project_id: int, *, why: str = "initial") -> int:
    """Publish a window in the order of the exploration keys; returns its size (0: nothing to serve, or a round runs).

    Every entry is an exploration draw: these labels are a uniform sample and count towards the random share.
    """
    project = Project.objects.get(pk=project_id)
    chosen = LearningSettings.objects.get(project=project)
    pool = servable_pool(project_id, n_rows=project.next_row)
    rows = pool.rows
    if not len(rows):
        return 0
    try:
        with transaction.atomic():
            round_ = _make_round(project, chosen, pool_digest=pool.digest(), why=why)
            folder = round_folder(project_id, round_.number)
            folder.mkdir(parents=True, exist_ok=True)
            stream = random_stream(rows, chosen.seed)
            save_array(folder / "pool.npy", pack_rows(rows, project.next_row))
            save_array(folder / "order.npy", stream.rows.astype(np.int32))
            save_array(folder / "q.npy", stream.q.astype(np.float32))
            save_array(folder / "kind.npy", stream.kind)
            save_array(folder / "utility.npy", np.full(project.next_row, np.nan, dtype=np.float32))
            save_json(folder / "head.json", {"reasons": {}, "notes": []})
            lock_publishing(project_id)
            window = Window(round_, folder, item_ids=pool.item_id)
            published = queue.publish(project_id=project_id, candidates=list(window.candidates()))
            round_.ranked, round_.explored = window.ranked, window.explored
            round_.health = _health(len(rows), published)
            round_.save()
            send_event(project_id, "ranking", round=round_.number, published=published)
    except IntegrityError:
        return 0  # somebody else began a round with this number at the same moment
    queue.remove_earlier(project_id)
    return published


def _make_round(project: Project, chosen: LearningSettings, *, pool_digest: str, why: str) -> Round:
    schema = project.schema
    now = timezone.now()
    return Round.objects.create(
        project=project,
        number=next_number(project.pk),
        state=Round.State.PUBLISHED,
        step=Round.Step.HEALTH,
        trigger=why,
        seed=new_seed(),
        strategy="random",
        settings={
            "opening": why,
            "used": {"key": "random", "version": 1, "params": {}},
            "schema": schema.pk,
            "class_keys": [label.key for label in schema.active_classes()],
            "batch_size": chosen.batch_size,
            "exploration_share": 1.0,
            "randomness": 0.0,
            "exploration_seed": chosen.seed,
        },
        pool_digest=pool_digest,
        n_rows=project.next_row,
        # Not the settings' revision: the first real round is still to come.
        revision=0,
        frozen_at=now,
        published_at=now,
    )


def _health(pool: int, published: int) -> dict[str, Any]:
    return {
        "pool": pool,
        "scored": 0,
        "unscored": pool,
        "cold": True,
        "window": published,
        "published": published,
        "exploration_share": 1.0,
        "scored_share": 0.0,
        "degraded": [],
    }
