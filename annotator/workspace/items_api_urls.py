from __future__ import annotations

from django.urls import include, path

from annotator.workspace import items_api

project = [
    path("items/", items_api.items, name="items"),
    path("items/archive/", items_api.archive, name="items_archive"),
    path("items/restore/", items_api.restore, name="items_restore"),
    path("items/delete/", items_api.delete, name="items_delete"),
    path("items/<int:item_id>/", items_api.item_detail, name="item"),
    path("assets/<int:asset_id>/", items_api.asset, name="asset"),
]
urlpatterns = [path("projects/<int:project_id>/", include(project))]
