from __future__ import annotations

from django.urls import path

from annotator.transfer import api, api_uploads, export_api, remote_api

urlpatterns = [
    path("projects/<int:project_id>/imports/urls/", remote_api.import_urls, name="imports_urls"),
    path("projects/<int:project_id>/imports/folder/", remote_api.import_folder, name="imports_folder"),
    path("projects/<int:project_id>/imports/bucket/", remote_api.import_bucket, name="imports_bucket"),
    path("projects/<int:project_id>/imports/", api.imports, name="imports"),
    path("projects/<int:project_id>/imports/<int:job_id>/start/", api.start_checked, name="import_start"),
    path("projects/<int:project_id>/uploads/", api_uploads.uploads, name="uploads"),
    path("projects/<int:project_id>/uploads/<int:import_id>/", api_uploads.upload, name="upload"),
    path(
        "projects/<int:project_id>/uploads/<int:import_id>/complete/",
        api_uploads.complete,
        name="upload_complete",
    ),
    path("projects/<int:project_id>/imports/<int:job_id>/", api.import_detail, name="import"),
    path(
        "projects/<int:project_id>/imports/<int:job_id>/errors.csv", api.import_errors, name="import_errors"
    ),
    path("projects/<int:project_id>/exports/", export_api.exports_list, name="exports"),
    path("projects/<int:project_id>/exports/preview/", export_api.preview, name="exports_preview"),
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
