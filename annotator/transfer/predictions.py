"""Predictions that came with imported rows: kept beside the items, never as answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from annotator.items.matching import Match, Outcome
from annotator.items.models import Item
from annotator.items.services import NewItem, add_predictions


def store_predictions(
    project_id: int, given: Sequence[tuple[NewItem, Match, dict[str, dict[str, float]]]]
) -> int:
    """Keep {model: {class: probability}} of items that were just added, under whatever id, or were there as they are."""
    taken = [each for each in given if each[1].outcome is not Outcome.CHANGED]
    if not taken:
        return 0
    digests = {item.digest for item, _, _ in taken}
    found = Item.objects.filter(project_id=project_id, content_hash__in=digests).order_by("-pk")
    by_name: dict[tuple[str, str], int] = {}
    by_content: dict[str, int] = {}
    for pk, name, digest in found.values_list("pk", "external_id", "content_hash"):
        by_name[name, digest] = by_content[digest] = pk
    rows: dict[str, list[tuple[int, dict[str, float]]]] = defaultdict(list)
    for item, match, predictions in taken:
        key = match.item_id or by_name.get((match.name, item.digest)) or by_content.get(item.digest)
        if key is not None:
            for source, classes in predictions.items():
                rows[source].append((key, classes))
    return sum(
        add_predictions(project_id=project_id, source=source, rows=each) for source, each in rows.items()
    )
