from __future__ import annotations

from django.urls import URLPattern, path

from annotator.learning import offers_views, views

app_name = "learning"
PROJECT = "projects/<int:project_id>/"

urlpatterns: list[URLPattern] = [
    path(f"{PROJECT}learning/", views.settings_page, name="settings"),
    path(f"{PROJECT}stream/", offers_views.stream_page, name="stream"),
    path(f"{PROJECT}stream/reset/", offers_views.reset_stream, name="reset-stream"),
    path(f"{PROJECT}models/", views.models_page, name="models"),
    path(f"{PROJECT}models/health/", views.health_badge, name="health"),
    path(f"{PROJECT}models/<int:number>/use/", views.use_model, name="use"),
    path(f"{PROJECT}rounds/start/", views.start_round, name="start-round"),
    path(f"{PROJECT}rounds/<int:number>/cancel/", views.cancel_round, name="cancel-round"),
]
