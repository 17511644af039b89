from __future__ import annotations

from django.urls import include, path

from annotator.hooks import views

app_name = "hooks"
one = [
    path("", views.webhook, name="webhook"),
    path("secret/", views.rotate, name="rotate"),
    path("switch/", views.switch, name="switch"),
    path("test/", views.test, name="test"),
    path("delete/", views.delete, name="delete"),
    path("deliveries/<int:delivery_id>/", views.delivery, name="delivery"),
    path("deliveries/<int:delivery_id>/again/", views.again, name="again"),
]
urlpatterns = [
    path("projects/<int:project_id>/webhooks/", views.webhooks, name="webhooks"),
    path("projects/<int:project_id>/webhooks/<int:webhook_id>/", include(one)),
]
