"""What managers do to items. It changes the queue, so it stands above labelling."""

from __future__ import annotations

from annotator.items.models import Item
from annotator.items.services import item_lock, remove_unused_assets
from annotator.labeling import queue
from annotator.labeling.services import archive_items
from annotator.learning.services import on_items_added

__all__ = ["archive_items", "delete_items", "restore_items"]

MAX_AT_ONCE = 500


def restore_items(*, project_id: int, item_ids: list[int]) -> int:
    """Bring archived items back into work; the next ranking has them."""
    count = (
        Item.objects.filter(project_id=project_id, pk__in=item_ids)
        .exclude(archived_at=None)
        .update(archived_at=None)
    )
    if count:
        on_items_added(project_id=project_id)
    return count


def delete_items(*, project_id: int, item_ids: list[int]) -> int:
    """Delete items for good, with all answers to them and the files nothing else uses. Their rows are never used again."""
    with queue.queue_lock(project_id), item_lock(project_id):
        items = Item.objects.filter(project_id=project_id, pk__in=item_ids[:MAX_AT_ONCE])
        digests = list(items.exclude(asset=None).values_list("asset__digest", flat=True))
        count = items.count()
        items.delete()
        remove_unused_assets(project_id=project_id, digests=digests)
    return count
