from __future__ import annotations

from django.urls import path

from annotator.accounts import api

urlpatterns = [
    path("me/", api.me, name="me"),
    path("tokens/", api.tokens, name="tokens"),
    path("tokens/<int:token_id>/", api.token, name="token"),
]
