from __future__ import annotations

from django.urls import include, path

from annotator.hooks import api

one = [
    path("", api.webhook, name="webhook"),
    path("rotate-secret/", api.rotate, name="webhook_rotate"),
    path("test/", api.test, name="webhook_test"),
    path("deliveries/", api.deliveries, name="deliveries"),
    path("deliveries/<int:delivery_id>/", api.delivery, name="delivery"),
    path("deliveries/<int:delivery_id>/again/", api.again, name="delivery_again"),
]
urlpatterns = [
    path("projects/<int:project_id>/webhooks/", api.webhooks, name="webhooks"),
    path("projects/<int:project_id>/webhooks/<int:webhook_id>/", include(one)),
]
