"""A project of synthetic texts with features, labels and people, written by COPY: what the benchmarks of the loop share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from annotator.projects.models import Project

DIM, CLASSES, NEW_LABELS = 384, 10, 20
CENTRES = np.random.default_rng(0).normal(0, 1, (CLASSES, DIM)).astype(np.float32)
SHARD = 65_536
DIGEST = "b" * 64


def features_of(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Unit vectors around a centre for each class; class = row % CLASSES."""
    rng = np.random.default_rng(int(rows[0]))
    noisy = CENTRES[rows % CLASSES] + rng.normal(0, 4, (len(rows), DIM)).astype(np.float32)
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), dtype=np.float32)


def make_project(items: int) -> Project:
    """The project with its items and features, by COPY."""
    from django.db import connection, transaction

    from annotator.accounts.models import User
    from annotator.items.features import make_store
    from annotator.learning.models import Encoding, LearningSettings
    from annotator.projects.models import LabelClass, LabelSchema, Project

    with transaction.atomic():
        owner = User.objects.create_user("owner")
        project = Project.objects.create(name="Rerank", modality="text", created_by=owner)
        schema = LabelSchema.objects.create(project=project, version=1)
        LabelClass.objects.bulk_create(
            LabelClass(schema=schema, key=f"class-{n}", name=f"Class {n}", order=n) for n in range(CLASSES)
        )
        # No round begins but those that are measured.
        LearningSettings.objects.create(
            project=project, encoder="minilm", seed=1, retrain_labels=NEW_LABELS, paused=True
        )
        Project.reserve_rows(project.pk, items)
        columns = "project_id, row, external_id, text, content_hash, split, meta, created_at"
        with connection.cursor() as cursor:
            cursor.execute(
                "DROP INDEX item_search"
            )  # most of the time of filling the table, none of a round's
        with connection.cursor() as cursor, cursor.copy(f"COPY items_item ({columns}) FROM STDIN") as copy:
            for row in range(items):
                text = f"Synthetic text number {row}, about as long as a short sentence is."
                copy.write_row(
                    (
                        project.pk,
                        row,
                        f"text-{row}",
                        text,
                        f"{row:064x}",
                        "pool",
                        "{}",
                        "2026-01-01T00:00:00Z",
                    )
                )
    store = make_store(project.pk, DIGEST, DIM)
    for start in range(0, items, SHARD):
        rows = np.arange(start, min(start + SHARD, items))
        store.write(rows, features_of(rows))
    Encoding.objects.create(project=project, encoder="minilm", params={}, digest=DIGEST, dim=DIM)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE items_item")
    return project


def add_labels(project: Project, rows: np.ndarray[Any, Any], seed: int) -> None:
    """True answers by one person; every tenth was an exploration draw."""
    from django.db import connection
    from django.utils import timezone

    from annotator.items.models import Item
    from annotator.projects.models import LabelSchema

    schema = LabelSchema.objects.get(project=project)
    ids = dict(Item.objects.filter(project=project, row__in=rows.tolist()).values_list("row", "pk"))
    columns = "id, project_id, item_id, annotator_id, schema_id, state, current, revision, regions, served, created_at"
    rng = np.random.default_rng(seed)
    now = timezone.now()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY labeling_annotation ({columns}) FROM STDIN") as copy,
    ):
        for place, row in enumerate(rows.tolist()):
            served = '{"exploration": true}' if place % 10 == 0 else "{}"
            regions = f'[{{"kind": "choice", "classes": ["class-{row % CLASSES}"]}}]'
            key = uuid.UUID(bytes=rng.bytes(16), version=4)
            copy.write_row(
                (
                    key,
                    project.pk,
                    ids[row],
                    project.created_by_id,
                    schema.pk,
                    "submitted",
                    True,
                    1,
                    regions,
                    served,
                    now,
                )
            )


def labelled_rows(project: Project, count: int, items: int) -> np.ndarray[Any, Any]:
    """Rows to label: the exploration stream first (a tenth of them), then any."""
    from acquisition.compose import exploration_order

    first = exploration_order(1, np.arange(items), count // 10)
    others = np.setdiff1d(np.random.default_rng(2).permutation(items)[: 2 * count], first)
    rest = np.random.default_rng(3).permutation(others)[: count - len(first)]
    mixed = np.empty(len(first) + len(rest), dtype=np.int64)
    places = np.arange(len(mixed)) % 10 == 0
    mixed[np.flatnonzero(places)[: len(first)]] = first
    left = np.ones(len(mixed), dtype=bool)
    left[np.flatnonzero(places)[: len(first)]] = False
    mixed[left] = rest
    return mixed


def add_annotators(project: Project, count: int) -> list[str]:
    """Members with an API token each; the tokens."""
    from annotator.accounts.models import ApiToken, User, token_digest
    from annotator.projects.models import Membership, Role

    tokens = []
    for number in range(count):
        user = User.objects.create_user(f"annotator-{number}")
        Membership.objects.create(project=project, user=user, role=Role.ANNOTATOR)
        tokens.append(ApiToken.make_plain())
        ApiToken.objects.create(user=user, name="benchmark", digest=token_digest(tokens[-1]))
    return tokens
