from __future__ import annotations

from django.urls import path

from annotator.transfer import api, export_api

urlpatterns = [
    path("projects/<int:project_id>/imports/", api.create_import, name="imports"),
    path("projects/<int:project_id>/imports/<int:job_id>/", api.import_detail, name="import"),
    path(
        "projects/<int:project_id>/imports/<int:job_id>/errors.csv", api.import_errors, name="import_errors"
    ),
    path("projects/<int:project_id>/exports/", export_api.exports_list, name="exports"),
    path("projects/<int:project_id>/exports/<int:export_id>/", export_api.export_detail, name="export"),
    path(
        "projects/<int:project_id>/exports/<int:export_id>/download/",
        export_api.download,
        name="export_download",
    ),
    path("projects/<int:project_id>/snapshots/", export_api.snapshots_list, name="snapshots"),
    path(
        "projects/<int:project_id>/snapshots/<int:snapshot_id>/", export_api.snapshot_detail, name="snapshot"
    ),
]
