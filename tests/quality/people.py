"""Short words for projects in which several people answer."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.labeling import queue, services
from annotator.labeling.models import Annotation
from annotator.projects.models import Project
from annotator.quality import serving
from annotator.quality.models import Check, QualitySettings
from annotator.quality.services import add_gold, replace_checks, settings_of, update_settings
from tests.factories import choice, join, make_items, make_project
from tests.learning.world import answer

EXPLORED = {
    "round": 3, "rank": 5, "utility": 0.25, "propensity": 0.01, "exploration": True, "model": 2, "seed": 9,
    "strategy": {"key": "margin"}, "reason": {"kind": "exploration", "text": "Drawn at random."},
}  # fmt: skip
RANKED = EXPLORED | {
    "exploration": False,
    "reason": {
        "kind": "margin", "utility": 0.4, "text": "The model wavers between Cat (50 %) and Dog (45 %).",
        "classes": ["cat", "dog"], "probabilities": [0.5, 0.45],
    },
}  # fmt: skip
SUGGESTION = {"model": 2, "classes": {"cat": 0.5, "dog": 0.45}}


def vote(project: Project, item: Item, *answers: str, people: list[User] | None = None) -> list[User]:
    """Each answer by somebody else (or by these people, in order)."""
    people = people or [join(project) for _ in answers]
    for person, key in zip(people, answers, strict=False):
        answer(project, person, item, key)
    return people


def quality(project: Project, **values: Any) -> QualitySettings:
    return update_settings(settings=settings_of(project), values=values)


def publish(project: Project, items: list[Item], served: dict[str, Any] | None = None, **more: Any) -> None:
    served = EXPLORED if served is None else served
    queue.publish(
        project_id=project.pk, candidates=[queue.Candidate(item.pk, served, **more) for item in items]
    )


def claim(project: Project, user: User, count: int = 1, **options: Any) -> list[queue.Claimed]:
    """As the annotate screen asks, in a new tab each time."""
    wanted = {"project_id": project.pk, "user_id": user.pk, "holder": uuid.uuid4(), "count": count}
    return serving.top_up(serving.claim(**wanted, **options), **wanted)


def submit(project: Project, user: User, item_id: int, key: str = "cat") -> None:
    services.submit_annotation(
        project_id=project.pk,
        user_id=user.pk,
        annotation_id=uuid.uuid4(),
        item_id=item_id,
        schema_version=1,
        regions=choice(key),
        seconds=2.0,
    )


def with_gold(count: int = 3, **settings: Any) -> tuple[Project, list[Item], list[Item]]:
    """A project with gold items and ten others in the queue."""
    project = make_project()
    gold, others = make_items(project, count), make_items(project, 10)
    for item in gold:
        add_gold(project=project, item_id=item.pk, classes=["dog"], by=None)
    publish(project, others)
    quality(project, **({"gold_share": 0.5} | settings))
    return project, gold, others


class Always(random.Random):
    """Draws that always fall inside any share."""

    def random(self) -> float:
        return 0.0


class Never(random.Random):
    def random(self) -> float:
        return 1.0 - 2**-53


def with_checks(count: int = 2, **settings: Any) -> tuple[Project, list[Item], Any]:
    """Items that one person has labelled and that are worth another label, and two new ones."""
    project = make_project()
    author, items = join(project), make_items(project, count + 2)
    for item in items[:count]:
        vote(project, item, "cat", people=[author])
    replace_checks(
        project_id=project.pk,
        entries=[(item.row, "suspect", 0.1 * n) for n, item in enumerate(items[:count])],
    )
    # What a test does is one transaction, whose clock stands still: this was before it.
    now = timezone.now()
    Annotation.objects.update(created_at=now - timedelta(hours=2))
    Check.objects.update(created_at=now - timedelta(hours=1))
    publish(project, items[count:])
    quality(project, **({"check_share": 0.5} | settings))
    return project, items, author
