from __future__ import annotations

from django.urls import path

from annotator.operations import views

app_name = "operations"
urlpatterns = [
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics_page, name="metrics"),
    path("admin/check/", views.check, name="check"),
    path("admin/check/browser/", views.check_browser, name="check_browser"),
]
