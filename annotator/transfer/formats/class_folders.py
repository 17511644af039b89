"""Writing images into one folder a class, below one a split where the export divides."""

from __future__ import annotations

from collections.abc import Iterable

from annotator.transfer.formats.parts import picture_name
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

HOLDS = frozenset({"splits"})
FOLDERS = {"train": "train", "validation": "val", "test": "test"}


def write(items: Iterable[ExportItem], target: Target) -> None:
    """<class key>/<file>, or <split>/<class key>/<file>; items held out for tests lie in test."""
    for item in items:
        assert item.asset is not None
        assert item.consensus is not None
        parts = [item.consensus[0], picture_name(item)]
        if target.context.divided or item.split == "test":
            parts.insert(0, FOLDERS[item.part])
        if target.asset("/".join(parts), item.asset):
            target.losses.add("names", parts[-1] != item.external_id)
