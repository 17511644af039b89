"""Projects with one of everything that an export can meet."""

from __future__ import annotations

import uuid
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from annotator.accounts.models import User
from annotator.items.models import ImportedLabel, Item
from annotator.items.services import add_predictions
from annotator.jobs.services import run_job
from annotator.labeling.models import Annotation, Skip
from annotator.modalities.text import probe
from annotator.projects.models import LabelSchema, Project
from annotator.projects.services import create_version
from annotator.transfer import tasks
from annotator.transfer.exports import create_export
from annotator.transfer.models import Export, Snapshot
from annotator.transfer.selection import Selection
from annotator.transfer.snapshots import create_snapshot
from tests.factories import choice, join, make_project
from tests.items.makers import add_image
from tests.modalities.images import image_bytes

HANDLERS = tasks.run_export  # importing registers it
# Everything that formats stumble over: emoji, combining marks, right to left, all line ends, separators, quotes, formulas.
TEXTS = (
    "plain",
    "  spaces around  ",
    "emoji 👩‍👩‍👧‍👦 and é as e\u0301",
    "مرحبا بالعالم שלום",
    "one\r\ntwo\nthree\rfour",
    "line\u2028separator\u2029and\x85next",
    "quotes \" and ' , ; | \t tab",
    "=SUM(A1:A9)",
    "@import +1 -1",
    "__label__cat is only a word",
    '\\u0000 is written out, {"json": [1]}',
    "中文，標點。",
)


def answer(
    item: Item,
    person: User,
    *classes: str,
    schema: LabelSchema | None = None,
    at: datetime | None = None,
    **fields: Any,
) -> Annotation:
    """The person's newest answer; what they said before stays as an earlier revision."""
    before = Annotation.objects.filter(item=item, annotator=person).order_by("-revision").first()
    Annotation.objects.filter(item=item, annotator=person).update(current=False)
    return Annotation.objects.create(
        id=uuid.uuid4(),
        project=item.project,
        item=item,
        annotator=person,
        schema=schema or item.project.schema,
        regions=choice(*classes),
        revision=before.revision + 1 if before else 1,
        created_at=at or timezone.now(),
        **fields,
    )


def text_items(project: Project, texts: tuple[str, ...] = TEXTS) -> list[Item]:
    first = Project.reserve_rows(project.pk, len(texts))
    return Item.objects.bulk_create(
        Item(
            project=project,
            row=first + n,
            external_id=f"id-{first + n}",
            text=text,
            content_hash=probe(text).digest,
            meta={"group": f"g{n % 3}", "n": n} if n % 2 else {},
        )
        for n, text in enumerate(texts)
    )


def rich_text_project(*, task: str = "single") -> Project:
    """Texts of every kind; agreed, disputed, revised, withdrawn and missing answers, skips, labels and predictions of others."""
    project = make_project(task=task, classes=("cat", "dog", "old"))
    people = [join(project) for _ in range(3)]
    items = text_items(project)
    served = {
        "strategy": {"key": "margin", "version": 1},
        "model": 3,
        "rank": 1,
        "utility": 0.1,
        "propensity": 1e-7,
    }
    suggestion = {"model": 3, "classes": {"cat": 0.75, "dog": 0.25}}
    for n, item in enumerate(items[:-2]):
        answer(
            item, people[0], "cat" if n % 2 else "dog", seconds=1.25 + n, served=served, suggestion=suggestion
        )
    answer(items[0], people[1], "dog")
    answer(items[0], people[2], "cat", seconds=3)
    answer(items[1], people[1], "dog")  # a tie with the first
    answer(items[2], people[1], "old")
    answer(items[2], people[1], "dog", seconds=0.5)
    answer(items[3], people[0], "cat", state=Annotation.State.WITHDRAWN)
    if task == "multi":
        answer(items[4], people[0], "cat", "dog")
        answer(items[5], people[0])
    create_version(
        project=project,
        base_version=1,
        by=project.created_by,
        operations=[{"op": "merge", "key": "old", "into": "dog"}, {"op": "add", "name": "Bird & bee"}],
    )
    for withdrawn in (False, True):
        Skip.objects.create(
            id=uuid.uuid4(),
            project=project,
            item=items[-1],
            annotator=people[0],
            policy="others",
            reason="unclear",
            withdrawn=withdrawn,
        )
    ImportedLabel.objects.create(item=items[-2], classes=["cat", "unknown"], source="old.csv")
    add_predictions(project_id=project.pk, source="gpt", rows=[(items[-1].pk, {"Cat": 0.9, "Dog": 0.1})])
    Item.objects.filter(pk=items[6].pk).update(split=Item.Split.TEST)
    Item.objects.filter(pk=items[3].pk).update(archived_at=timezone.now() - timedelta(seconds=1))
    return Project.objects.get(pk=project.pk)


def rich_image_project() -> Project:
    project = make_project(modality="image")
    person = join(project)
    for n, name in enumerate(["a.png", "folder/a.png", "ü b.png", "d.png"]):
        item = add_image(project, image_bytes(colour=(n, 10 * n, 200)), external_id=name)
        if n < 3:
            answer(item, person, "cat" if n else "dog", seconds=2.0)
    return Project.objects.get(pk=project.pk)


def export(project: Project, key: str, **options: Any) -> Export:
    """Ask for it and do the job."""
    made = create_export(project=project, format_key=key, user=project.created_by, **options)
    assert made.job_id is not None
    run_job(made.job_id)
    return Export.objects.select_related("job", "snapshot").get(pk=made.pk)


def freeze(project: Project, name: str = "v1", **options: Any) -> Snapshot:
    options.setdefault("selection", Selection())
    made = create_snapshot(project=project, name=name, user=project.created_by, **options)
    assert made.job_id is not None
    run_job(made.job_id)
    return Snapshot.objects.select_related("job").get(pk=made.pk)


def data_of(made: Export) -> Path:
    assert made.job is not None
    assert made.file is not None, made.job.error
    path = made.path_of(made.file["name"])
    assert path is not None
    return path


def unpacked(made: Export) -> dict[str, bytes]:
    """Files of an archive by name."""
    with zipfile.ZipFile(data_of(made)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
