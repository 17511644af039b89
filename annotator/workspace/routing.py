from __future__ import annotations

from django.urls import path

from annotator.common.consumers import LiveConsumer
from annotator.projects.access import may_listen

websocket_urlpatterns = [
    path("ws/projects/<int:project_id>/", LiveConsumer.as_asgi(may_listen=may_listen)),
]
