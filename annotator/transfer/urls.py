from __future__ import annotations

from django.urls import path

from annotator.transfer import export_views, remote_views, views

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
    path("projects/<int:project_id>/export/", export_views.exports_page, name="exports"),
    path("projects/<int:project_id>/export/losses/", export_views.losses, name="losses"),
    path("projects/<int:project_id>/exports/<int:export_id>/", export_views.export_page, name="export"),
    path(
        "projects/<int:project_id>/exports/<int:export_id>/download/",
        export_views.download,
        name="export_download",
    ),
    path(
        "projects/<int:project_id>/exports/<int:export_id>/delete/",
        export_views.delete,
        name="export_delete",
    ),
    path("projects/<int:project_id>/snapshots/", export_views.create_snapshot, name="snapshots"),
    path(
        "projects/<int:project_id>/snapshots/<int:snapshot_id>/delete/",
        export_views.delete_snapshot,
        name="snapshot_delete",
    ),
]
