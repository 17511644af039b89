from __future__ import annotations

from django.urls import path

from annotator.jobs import views

app_name = "jobs"
urlpatterns = [
    path("projects/<int:project_id>/jobs/", views.job_list, name="list"),
    path("projects/<int:project_id>/jobs/<int:job_id>/", views.card, name="card"),
    path("projects/<int:project_id>/jobs/<int:job_id>/cancel/", views.cancel, name="cancel"),
]
