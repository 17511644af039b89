"""Makes the demo projects: the same services as for anybody's project and import."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from annotator.accounts.models import User
from annotator.learning.services import settings_of, update_settings
from annotator.projects.models import Project
from annotator.projects.services import create_project
from annotator.transfer.services import add_rows
from annotator.workspace.demo import digits, languages
from annotator.workspace.demo.sample import Sample

COLOURS = (
    *("#4a4fd4", "#c2570c", "#0f7d70", "#b02a76", "#5a7d0f", "#0d6cb4", "#a86400", "#7c3aed"),
    *("#be123c", "#0e7490", "#4d7c0f", "#9333ea", "#b45309", "#1d4ed8", "#15803d", "#6b7280"),
)
SOURCE = "Demo"


@dataclass(frozen=True)
class Demo:
    """A demo project; `encoder` is what suits its items, if it is there."""

    slug: str
    name: str
    modality: str
    description: str
    instructions: str
    classes: Sequence[tuple[str, str]]  # key, name
    samples: Callable[[], list[Sample]]
    encoder: str
    options: dict[str, Any] = field(default_factory=dict)


DEMOS = (
    Demo(
        slug="digits",
        name="Digits",
        modality="image",
        description="Which digit is it? 1,797 handwritten digits that come with scikit-learn.",
        instructions="Press the digit you see.",
        classes=[(str(n), str(n)) for n in range(10)],
        samples=digits.samples,
        encoder="pixels",
    ),
    Demo(
        slug="interface-language",
        name="Interface language",
        modality="text",
        description="In which language is it? Strings of user interfaces from the translations of installed packages.",
        instructions="Choose the language of the text. Names of products and placeholders do not count.",
        classes=list(languages.LANGUAGES.items()),
        samples=languages.samples,
        # Parts of words tell languages apart; sentence encoders are made to look through them.
        encoder="tfidf",
    ),
)


def seed(*, owner: User) -> list[Project]:
    """Make the demo projects, each with its gold labels in a file that only the server's owner can read."""
    return [_make(demo, owner) for demo in DEMOS]


def gold_path(slug: str) -> Path:
    return Path(settings.HOME) / "demo" / f"{slug}.gold.jsonl"


def _make(demo: Demo, owner: User) -> Project:
    found = demo.samples()
    _write_gold(gold_path(demo.slug), found)
    classes = [
        {"key": key, "name": name, "colour": colour}
        for (key, name), colour in zip(demo.classes, COLOURS, strict=False)
    ]
    with transaction.atomic():
        project = create_project(
            name=demo.name,
            modality=demo.modality,
            task=Project.Task.SINGLE,
            classes=classes,
            by=owner,
            description=demo.description,
            instructions=demo.instructions,
        )
        learning = settings_of(project)
        # Twice the usual random share: the first point of the curve comes after some fifty labels, within the tour.
        values = {"encoder": demo.encoder, "encoder_params": {}, "exploration_share": 0.2}
        # Fewer typical items than usual: within the tour, the model's doubts begin to decide.
        values |= {"preset_params": {"labels_per_class": 2}}
        update_settings(settings=learning, by=owner, values=values)
        counts, errors = add_rows(project=project, rows=[each.row for each in found], source=SOURCE)
        assert not errors, errors[:3]
        assert counts.created == len(found)
    return project


def _write_gold(path: Path, found: list[Sample]) -> None:
    """JSON lines {"external_id", "classes"}, for measuring; never imported, or annotators could see it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [json.dumps({"external_id": each.row.external_id, "classes": [each.answer]}) for each in found]
    fresh = path.with_suffix(".new")
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write("\n".join(lines) + "\n")
    fresh.replace(path)
