"""Celery's entry to webhooks: handing out is quick and regular, sending waits for strangers and so stands in line with imports."""

from __future__ import annotations

from celery import shared_task

from annotator.celery import IO
from annotator.hooks import delivery


@shared_task(name="hooks.hand_out")
def hand_out() -> int:
    made = delivery.hand_out()
    if delivery.anything_due():
        deliver.apply_async(queue=IO, expires=60)
    return made


@shared_task(name="hooks.deliver")
def deliver() -> int:
    return delivery.deliver_due()


@shared_task(name="hooks.remove_old_deliveries")
def remove_old_deliveries() -> int:
    return delivery.remove_old_deliveries()
