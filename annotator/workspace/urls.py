from __future__ import annotations

from django.urls import path

from annotator.workspace import views

app_name = "workspace"
urlpatterns = [
    path("projects/<int:project_id>/", views.dashboard, name="dashboard"),
    path("projects/<int:project_id>/health/", views.health_badge, name="health"),
    path("projects/<int:project_id>/curve/", views.curve, name="curve"),
    path("projects/<int:project_id>/balance/", views.balance, name="balance"),
    path("projects/<int:project_id>/annotate/", views.annotate, name="annotate"),
]
