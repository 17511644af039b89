"""All routes. Pages live under /projects/<id>/…, the API under /api/v1/."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from annotator.common import views

APPS = ("accounts", "projects", "hooks", "jobs", "quality", "learning", "transfer", "workspace")

# The routes of the annotate screen come first: they are asked for with every label.
api = [
    *(path("", include(f"annotator.{app}.api_urls")) for app in reversed(APPS)),
    path("", include("annotator.workspace.items_api_urls")),
]

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/", include((api, "api"))),
    *(path("", include(f"annotator.{app}.urls")) for app in APPS),
    path("", include("annotator.operations.urls")),
    # Pages about items show answers and change the queue: they stand above the items themselves.
    path("", include("annotator.workspace.items_urls")),
]

handler400 = "annotator.common.views.bad_request"
handler403 = "annotator.common.views.permission_denied"
handler404 = "annotator.common.views.not_found"
handler500 = "annotator.common.views.server_error"
