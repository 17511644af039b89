from __future__ import annotations

from django.urls import path

from annotator.transfer import api, api_uploads, remote_api

urlpatterns = [
    path("projects/<int:project_id>/imports/urls/", remote_api.import_urls, name="imports_urls"),
    path("projects/<int:project_id>/imports/bucket/", remote_api.import_bucket, name="imports_bucket"),
    path("projects/<int:project_id>/imports/", api.create_import, name="imports"),
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
]
