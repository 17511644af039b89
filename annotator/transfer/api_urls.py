from __future__ import annotations

from django.urls import path

from annotator.transfer import api

urlpatterns = [
    path("projects/<int:project_id>/imports/", api.create_import, name="imports"),
    path("projects/<int:project_id>/imports/<int:job_id>/", api.import_detail, name="import"),
    path(
        "projects/<int:project_id>/imports/<int:job_id>/errors.csv", api.import_errors, name="import_errors"
    ),
]
