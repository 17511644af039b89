"""What pages and programs see of exports and snapshots."""

from __future__ import annotations

from django.db.models import QuerySet

from annotator.common.errors import NotFound
from annotator.transfer.models import Export, Snapshot


def exports_of(project_id: int) -> QuerySet[Export]:
    """Newest first, with what a row of a list needs."""
    return Export.objects.filter(project_id=project_id).select_related("job", "snapshot", "created_by")


def snapshots_of(project_id: int) -> QuerySet[Snapshot]:
    return Snapshot.objects.filter(project_id=project_id).select_related("job", "created_by")


def get_export(project_id: int, export_id: int) -> Export:
    found = exports_of(project_id).filter(pk=export_id).first()
    if found is None:
        raise NotFound("There is no such export in this project.", hint="It may have been deleted.")
    return found


def get_snapshot(project_id: int, snapshot_id: int) -> Snapshot:
    found = snapshots_of(project_id).filter(pk=snapshot_id).first()
    if found is None:
        raise NotFound("There is no such snapshot in this project.", hint="It may have been deleted.")
    return found
