"""Canonical forms of labelled parts, one kind a file. The registry below is the only list of kinds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from annotator.regions.choice import Choice
from annotator.regions.errors import RegionError

KINDS = {region.kind: region for region in (Choice,)}


def parse_regions(value: Any, *, classes: Collection[str], task: str) -> list[dict[str, Any]]:
    """Regions as they came in -> canonical JSON, validated against the schema's `classes` and the task."""
    if not isinstance(value, list):
        raise RegionError("Regions must be a list.")
    parsed = []
    for entry in value:
        kind = entry.get("kind") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            raise RegionError(f"Each region needs a 'kind', one of: {', '.join(KINDS)}.")
        region = KINDS[kind].from_json(entry)
        region.validate(classes=classes, task=task)
        parsed.append(region.to_json())
    if len(parsed) != 1:
        raise RegionError("A classification needs exactly one choice.")
    return parsed
