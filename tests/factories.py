"""The least that a test needs, with names a reader can keep apart."""

from __future__ import annotations

import itertools
from typing import Any

from annotator.accounts.models import User
from annotator.items.models import Item
from annotator.learning.models import LearningSettings
from annotator.projects.models import LabelClass, LabelSchema, Membership, Project, Role

_numbers = itertools.count(1)


def make_user(name: str = "", **fields: Any) -> User:
    name = name or f"person{next(_numbers)}"
    return User.objects.create_user(username=name, password="correct horse battery", **fields)


def make_project(
    *,
    classes: tuple[str, ...] = ("cat", "dog"),
    owner: User | None = None,
    modality: str = "text",
    learning: dict[str, Any] | None = None,
    **fields: Any,
) -> Project:
    """A text project with a schema, an owner and learning settings."""
    owner = owner or make_user()
    project = Project.objects.create(
        name=fields.pop("name", "Pets"), modality=modality, created_by=owner, **fields
    )
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    schema = LabelSchema.objects.create(project=project, version=1, created_by=owner)
    LabelClass.objects.bulk_create(
        LabelClass(schema=schema, key=key, name=key.title(), hotkey=str(n) if n < 10 else "", order=n)
        for n, key in enumerate(classes, start=1)
    )
    LearningSettings.objects.create(project=project, **({"encoder": "tfidf"} | (learning or {})))
    return project


def join(project: Project, role: str = Role.ANNOTATOR, user: User | None = None) -> User:
    """A member of the project in the given role."""
    user = user or make_user()
    Membership.objects.create(project=project, user=user, role=role)
    return user


def make_items(project: Project, count: int, *, split: str = Item.Split.POOL) -> list[Item]:
    """Text items with dense rows."""
    first = Project.reserve_rows(project.pk, count)
    return Item.objects.bulk_create(
        Item(
            project=project,
            row=first + n,
            external_id=f"text-{first + n}",
            text=f"This is text number {first + n}.",
            content_hash=f"{first + n:064x}",
            split=split,
        )
        for n in range(count)
    )


def choice(*classes: str) -> list[dict[str, Any]]:
    return [{"kind": "choice", "classes": sorted(classes)}]
