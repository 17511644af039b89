from __future__ import annotations

from django.urls import include, path

from annotator.workspace import api

project = [
    path("next/", api.next_items, name="next"),
    path("annotations/", api.submit, name="annotations"),
    path("annotations/withdraw/", api.withdraw, name="withdraw"),
    path("annotations/recent/", api.recent, name="recent"),
    path("skips/", api.skip, name="skips"),
    path("skips/<uuid:skip_id>/withdraw/", api.withdraw_skip, name="withdraw_skip"),
    path("drafts/<int:item_id>/", api.save_draft, name="draft"),
    path("leases/renew/", api.renew, name="renew"),
    path("leases/release/", api.release, name="release"),
]

urlpatterns = [path("projects/<int:project_id>/", include(project))]
