"""Short words for projects in which several people answer."""

from __future__ import annotations

import uuid
from typing import Any

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.labeling import queue, services
from annotator.projects.models import Project
from annotator.quality import serving
from annotator.quality.models import QualitySettings
from annotator.quality.services import settings_of, update_settings
from tests.factories import choice, join
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
