from __future__ import annotations

from django.urls import URLPattern, path

from annotator.quality import views

app_name = "quality"
PROJECT = "projects/<int:project_id>/quality/"

urlpatterns: list[URLPattern] = [
    path(PROJECT, views.overview, name="overview"),
    path(f"{PROJECT}report/", views.renew, name="renew"),
    path(f"{PROJECT}settings/", views.settings_page, name="settings"),
    path(f"{PROJECT}adjudicate/", views.adjudicate, name="adjudicate"),
    path(f"{PROJECT}gold/", views.gold, name="gold"),
    path(f"{PROJECT}gold/<int:item_id>/remove/", views.remove_gold, name="remove_gold"),
]
