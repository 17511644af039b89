"""Everything about items under one namespace: the bytes come from `items`, the pages from here."""

from __future__ import annotations

from django.urls import include, path

from annotator.items import views as assets
from annotator.workspace import items_views

app_name = "items"
project = [
    path("items/", items_views.item_list, name="list"),
    path("items/change/", items_views.change, name="change"),
    path("items/<int:item_id>/", items_views.item_detail, name="detail"),
    path("assets/<int:asset_id>/", assets.asset, name="asset"),
    path("assets/<int:asset_id>/thumbnail/", assets.thumbnail, name="thumbnail"),
]
urlpatterns = [path("projects/<int:project_id>/", include(project))]
