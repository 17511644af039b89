from __future__ import annotations

from django.urls import include, path

from annotator.workspace import answers_api, api

project = [
    path("next/", api.next_items, name="next"),
    path("annotations/", api.answers, name="annotations"),
    path("annotations/withdraw/", api.withdraw, name="withdraw"),
    path("annotations/recent/", api.recent, name="recent"),
    path("annotations/<uuid:annotation_id>/", answers_api.annotation, name="annotation"),
    path("items/<int:item_id>/history/", answers_api.history, name="item_history"),
    path("metrics/", answers_api.metrics, name="metrics"),
    path("queue/", answers_api.waiting, name="queue"),
    path("skips/", api.skips, name="skips"),
    path("skips/<uuid:skip_id>/withdraw/", api.withdraw_skip, name="withdraw_skip"),
    path("drafts/<int:item_id>/", api.draft, name="draft"),
    path("leases/renew/", api.renew, name="renew"),
    path("leases/release/", api.release, name="release"),
]

urlpatterns = [path("projects/<int:project_id>/", include(project))]
