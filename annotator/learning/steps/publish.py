"""Step 6: the head of the ranking becomes the queue, and the round's model the one in use."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotator.common.events import send_event
from annotator.hooks.models import Kind
from annotator.hooks.outbox import note
from annotator.labeling import queue
from annotator.learning.models import ModelVersion, Round
from annotator.learning.window import Window, lock_publishing
from annotator.learning.work import Work

# Nobody can claim while entries go in, so they do by and by. The first part is more than what counts as running low.
PARTS = 3


def publish(work: Work) -> None:
    """Swap the queue's window. Running it again publishes the same window again: nothing is left of a part."""
    round_ = work.round
    round_.ranked = round_.explored = 0
    window = Window(round_, work.folder, item_ids=work.pool.item_id)
    candidates = list(window.candidates())
    size = len(candidates) // PARTS + 1
    with transaction.atomic():
        lock_publishing(round_.project_id)
        use_model(round_.project_id, round_.model)
        # From here on this round is what is served; where it goes on is known once all of the window is in.
        round_.published_at = timezone.now()
        round_.save(update_fields=["published_at", "ranked", "explored"])
        published = queue.publish(project_id=round_.project_id, candidates=candidates[:size])
    queue.remove_earlier(round_.project_id)
    for start in range(size, len(candidates), size):
        part = candidates[start : start + size]
        published += queue.publish(project_id=round_.project_id, candidates=part, replace=False)
    round_.ranked, round_.explored = window.ranked, window.explored
    round_.health |= {
        "published": published,
        "window": len(candidates),
        "exploration": sum(candidate.served["exploration"] for candidate in candidates),
    }
    round_.step = Round.Step.HEALTH
    with transaction.atomic():
        round_.save()
        told: dict[str, Any] = {
            "round": round_.number,
            "model": round_.model.number if round_.model else None,
        }
        told |= {"n_labels": round_.n_labels, "strategy": round_.strategy, "published": published}
        note(project_id=round_.project_id, kind=Kind.ROUND, payload=told)
    send_event(round_.project_id, "ranking", round=round_.number, published=published)


def use_model(project_id: int, model: ModelVersion | None) -> None:
    """Exactly this model is in use; none means that the cold start goes on with what was in use before."""
    if model is None:
        return
    versions = ModelVersion.objects.filter(project_id=project_id)
    versions.filter(in_use=True).exclude(pk=model.pk).update(in_use=False)
    versions.filter(pk=model.pk).update(in_use=True)
    model.in_use = True
