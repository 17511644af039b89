from __future__ import annotations

from celery import shared_task

from annotator.common import idempotency


@shared_task(name="common.remove_old_replies")
def remove_old_replies() -> int:
    return idempotency.remove_old_replies()
