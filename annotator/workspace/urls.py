from __future__ import annotations

from django.urls import path

from annotator.workspace import views

app_name = "workspace"
urlpatterns = [
    path("projects/<int:project_id>/annotate/", views.annotate, name="annotate"),
]
