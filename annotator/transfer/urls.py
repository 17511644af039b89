from __future__ import annotations

from django.urls import path

from annotator.transfer import remote_views, views

app_name = "transfer"
urlpatterns = [
    path("projects/<int:project_id>/import/", views.upload, name="import"),
    path("projects/<int:project_id>/import/urls/", remote_views.import_urls, name="import_urls"),
    path("projects/<int:project_id>/import/bucket/", remote_views.import_bucket, name="import_bucket"),
    path("projects/<int:project_id>/import/server/", views.server, name="server"),
    path("projects/<int:project_id>/import/<int:import_id>/check/", views.check, name="check"),
    path(
        "projects/<int:project_id>/import/<int:import_id>/check.csv", views.check_errors, name="check_errors"
    ),
    path("projects/<int:project_id>/import/<int:import_id>/picture/", views.picture, name="picture"),
    path("projects/<int:project_id>/import/<int:import_id>/", views.mapping, name="mapping"),
    path("projects/<int:project_id>/imports/<int:job_id>/", views.report, name="report"),
    path(
        "projects/<int:project_id>/imports/<int:job_id>/errors.csv", views.report_errors, name="report_errors"
    ),
]
