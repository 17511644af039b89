"""How many requests a program may make in a minute, counted in the cache for each token, session or address."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from annotator.common.clients import client_address
from annotator.common.permissions import declaration_of
from annotator.common.scopes import Grant

logger = logging.getLogger(__name__)
WINDOW = 60  # seconds


class PerCaller(BaseThrottle):
    """A window of a minute; 429 with Retry-After once it is used up. A cache that is away stops nobody."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.API_REQUESTS_PER_MINUTE
        declared = declaration_of(view)
        if not limit or (declared and request.method in declared.hot):
            return True
        key = f"throttle.{self._caller(request)}.{int(time.time() // WINDOW)}"
        try:
            return self._count(key) <= limit
        except (RedisError, OSError) as error:
            logger.warning("Requests are not counted: %s", error)
            return True

    def wait(self) -> float:
        return WINDOW - time.time() % WINDOW

    def _count(self, key: str) -> int:
        try:
            return int(cache.incr(key))
        except ValueError:  # the first one of its minute
            if cache.add(key, 1, WINDOW):
                return 1
            return int(cache.incr(key))

    def _caller(self, request: Request) -> str:
        if isinstance(request.auth, Grant):
            return f"token.{request.auth.id}"
        if request.user and request.user.is_authenticated:
            return f"user.{request.user.pk}"
        return f"address.{client_address(request._request)}"
