from __future__ import annotations

from django.urls import path

from annotator.jobs import api

urlpatterns = [
    path("projects/<int:project_id>/jobs/", api.job_list, name="jobs"),
    path("projects/<int:project_id>/jobs/<int:job_id>/", api.job_detail, name="job"),
    path("projects/<int:project_id>/jobs/<int:job_id>/cancel/", api.cancel, name="job_cancel"),
]
