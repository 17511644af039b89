"""Items of both kinds, made the way imports make them."""

from __future__ import annotations

from dataclasses import asdict

from annotator.items import files
from annotator.items.models import Asset, Item
from annotator.items.services import NewItem, add_items
from annotator.modalities import image, text
from annotator.projects.models import Project
from tests.modalities.images import image_bytes


def text_item(content: str, external_id: str = "", **fields: object) -> NewItem:
    return NewItem(digest=text.probe(content).digest, text=content, external_id=external_id, **fields)  # type: ignore[arg-type]


def image_item(data: bytes, external_id: str = "", **fields: object) -> NewItem:
    info = image.probe(data)
    digest = files.digest_of(data)
    asset = Asset(digest=digest, **asdict(info))
    return NewItem(digest=digest, payload=data, asset=asset, external_id=external_id, **fields)  # type: ignore[arg-type]


def add_image(project: Project, data: bytes | None = None, external_id: str = "a.png") -> Item:
    data = image_bytes() if data is None else data
    add_items(project_id=project.pk, items=[image_item(data, external_id)], source="test")
    return Item.objects.get(project=project, external_id=external_id)
