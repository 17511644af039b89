from __future__ import annotations

from celery import shared_task

from annotator.labeling import services


@shared_task(name="labeling.return_expired_leases")
def return_expired_leases() -> int:
    return services.return_expired_leases()
