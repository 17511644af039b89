"""What is right and wrong with this installation: the page for administrators and the command say the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.http.request import validate_host
from redis.exceptions import RedisError

from annotator import env
from annotator.common.clients import PASSED_ON
from annotator.jobs.selectors import queues_served
from annotator.operations.health import BAD, GOOD, WARNING, Finding, readiness

OLDEST_POSTGRES = 14
OLDEST_REDIS = (6, 2)
LARGEST_SKEW = 60.0  # seconds
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


@dataclass(frozen=True)
class Browser:
    """What a browser says: its address bar, its clock, and whether a socket and a form went through."""

    origin: str
    now: float  # Unix time in seconds
    socket: str  # open, failed or none
    form: str  # accepted, refused or failed


def of_server() -> list[Finding]:
    """Everything that can be said without a browser."""
    return [*readiness(), *_settings(), *_stores(), *_models(), *_gpu()]


def of_request(request: HttpRequest) -> list[Finding]:
    """What this very request tells about the way from the browser to here."""
    passed_on = [name for name in PASSED_ON if name in request.META]
    found = []
    if passed_on and not settings.PROXIES:
        found.append(
            Finding(
                "proxies",
                WARNING,
                "A proxy passes the client's address on, but no proxy was announced: all people seem to share one address.",
                "Set ANNOTATOR_PROXIES to the number of proxies in front, most often 1.",
            )
        )
    scheme = request.META.get("HTTP_X_FORWARDED_PROTO", "")
    if settings.HTTPS and not scheme and not request.is_secure():
        found.append(
            Finding(
                "forwarded_proto",
                BAD,
                "ANNOTATOR_HTTPS is on, but the proxy does not say that the request came by https.",
                "Let the proxy set X-Forwarded-Proto to the scheme the browser used.",
            )
        )
    elif scheme == "https" and not settings.HTTPS:
        found.append(
            Finding(
                "forwarded_proto",
                BAD,
                "The proxy says that people come by https, but the application does not know.",
                "Set ANNOTATOR_HTTPS=on: cookies become secure and forms are accepted.",
            )
        )
    else:
        found.append(
            Finding("forwarded_proto", GOOD, f"The application and the proxy agree on {request.scheme}.")
        )
    return found


def of_browser(request: HttpRequest, browser: Browser) -> list[Finding]:
    """What differs between the browser's view and the server's."""
    return [_origin(request, browser), _form(browser), _socket(request, browser), _clock(browser)]


def browser_from(values: Mapping[str, str]) -> Browser | None:
    """The report of the page's script; None when it is none."""
    parts = urlsplit(values.get("origin", "")[:300])
    try:
        now = float(values.get("now", ""))
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.netloc or not 0 < now < 1e11:
        return None
    return Browser(
        origin=f"{parts.scheme}://{parts.netloc}",
        now=now,
        socket=values.get("socket", ""),
        form=values.get("form", ""),
    )


def _origin(request: HttpRequest, browser: Browser) -> Finding:
    seen = f"{request.scheme}://{request.get_host()}"
    host = urlsplit(browser.origin).netloc
    if browser.origin == seen:
        return Finding("origin", GOOD, f"Browser and server agree on the address {seen}.")
    if browser.origin in settings.CSRF_TRUSTED_ORIGINS and validate_host(
        host.rsplit(":", 1)[0] if not host.endswith("]") else host, settings.ALLOWED_HOSTS
    ):
        return Finding(
            "origin",
            GOOD,
            f"The browser is at {browser.origin}, the server sees {seen}; the origin is trusted.",
        )
    return Finding(
        "origin",
        BAD,
        f"The browser is at {browser.origin}, the server sees {seen}.",
        "Let the proxy pass Host and X-Forwarded-Proto on unchanged, or set "
        f"CSRF_TRUSTED_ORIGINS={browser.origin} and put {host} into ALLOWED_HOSTS.",
    )


def _form(browser: Browser) -> Finding:
    if browser.form == "accepted":
        return Finding("form", GOOD, "Forms that this browser sends are accepted.")
    if browser.form == "refused":
        return Finding(
            "form",
            BAD,
            "A form sent by this page was refused: every button of the application will fail.",
            f"Set CSRF_TRUSTED_ORIGINS={browser.origin} and restart; behind https also ANNOTATOR_HTTPS=on.",
        )
    return Finding(
        "form",
        WARNING,
        "Whether forms are accepted could not be tried.",
        "Reload the page; look at the proxy's log.",
    )


def _socket(request: HttpRequest, browser: Browser) -> Finding:
    if browser.socket == "open":
        return Finding("socket", GOOD, "Live events reach this browser.")
    if settings.SOCKET_URL:
        advice = "Let the proxy pass /ws/ with its Upgrade header to the socket server, or correct ANNOTATOR_SOCKET_URL."
    elif request.is_secure() or any(name in request.META for name in PASSED_ON):
        advice = "Set ANNOTATOR_SOCKET_URL to wss:// and this host, and let the proxy pass /ws/ to the socket server."
    else:
        advice = f"Open port {settings.SOCKET_PORT} to the browser, or put a proxy in front that serves /ws/."
    return Finding(
        "socket", WARNING, "Live events do not reach this browser; its pages ask every few seconds.", advice
    )


def _clock(browser: Browser) -> Finding:
    skew = browser.now - time.time()
    if abs(skew) <= LARGEST_SKEW:
        return Finding("clock", GOOD, "The clocks of browser and server agree.")
    direction = "ahead of" if skew > 0 else "behind"
    return Finding(
        "clock",
        WARNING,
        f"The browser's clock is {abs(skew):.0f} seconds {direction} the server's.",
        "Set both by network time: claims and tokens run out by the server's clock.",
    )


def _settings() -> list[Finding]:
    found = []
    hosts = settings.ALLOWED_HOSTS
    if "*" in hosts:
        found.append(
            Finding(
                "allowed_hosts",
                WARNING,
                "ALLOWED_HOSTS lets any name in.",
                "Name the hosts under which people reach the application.",
            )
        )
    elif env.text("ANNOTATOR_HOST") not in LOCAL and set(hosts) <= LOCAL:
        found.append(
            Finding(
                "allowed_hosts",
                BAD,
                "The server listens to other machines, but ALLOWED_HOSTS names this one only.",
                "Put the name that people type into ALLOWED_HOSTS.",
            )
        )
    else:
        found.append(Finding("allowed_hosts", GOOD, f"ALLOWED_HOSTS: {', '.join(hosts)}."))
    wrong = [origin for origin in settings.CSRF_TRUSTED_ORIGINS if not _is_origin(origin)]
    if wrong:
        found.append(
            Finding(
                "trusted_origins",
                BAD,
                f"CSRF_TRUSTED_ORIGINS holds {wrong[0]!r}, which is no origin.",
                "Write scheme and host without a path, such as https://label.example.org.",
            )
        )
    else:
        found.append(
            Finding(
                "trusted_origins",
                GOOD,
                f"CSRF_TRUSTED_ORIGINS: {', '.join(settings.CSRF_TRUSTED_ORIGINS) or 'none beyond the own address'}.",
            )
        )
    if settings.DEBUG:
        found.append(Finding("debug", BAD, "DEBUG is on: errors show source code.", "Unset DEBUG."))
    secure = settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE
    if secure:
        found.append(Finding("cookies", GOOD, "Cookies travel by https only."))
    elif set(hosts) <= LOCAL:
        found.append(Finding("cookies", GOOD, "Plain http on this machine: cookies need no more."))
    else:
        found.append(
            Finding(
                "cookies",
                WARNING,
                "Cookies travel unencrypted.",
                "Put a proxy with https in front and set ANNOTATOR_HTTPS=on.",
            )
        )
    found += [
        Finding(
            f"unknown_{name.lower()}", WARNING, f"{name} is set but means nothing.", "Correct its spelling."
        )
        for name in env.unknown_variables()
    ]
    return found


def _stores() -> list[Finding]:
    return [_postgres(), _redis()]


def _postgres() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, "
                "current_setting('max_connections')::int, current_setting('fsync'), current_setting('server_encoding')"
            )
            version, major, connections, fsync, encoding = cursor.fetchone()
    except DatabaseError:
        return Finding("postgres", BAD, "PostgreSQL does not answer.", "Start it, or correct DATABASE_URL.")
    sentence = f"PostgreSQL {version}, {connections} connections, encoding {encoding}."
    needed = env.integer("ANNOTATOR_WEB_PROCESSES") * env.integer("ANNOTATOR_WEB_THREADS") + 20
    if major < OLDEST_POSTGRES:
        return Finding("postgres", BAD, sentence, f"Upgrade to PostgreSQL {OLDEST_POSTGRES} or newer.")
    if encoding != "UTF8":
        return Finding("postgres", BAD, sentence, "Make the database anew with encoding UTF8.")
    if fsync != "on":
        return Finding(
            "postgres", WARNING, f"{sentence} fsync is off.", "Turn fsync on: a crash may lose the database."
        )
    if connections < needed:
        return Finding("postgres", WARNING, sentence, f"Set max_connections to {needed} or more.")
    return Finding("postgres", GOOD, sentence)


def _redis() -> Finding:
    try:
        client = cache._cache.get_client(None)  # type: ignore[attr-defined]
        server, memory = client.info("server"), client.info("memory")
    except (RedisError, OSError):
        return Finding("redis_version", BAD, "Redis does not answer.", "Start it, or correct REDIS_URL.")
    version = str(server.get("redis_version", "0"))
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    sentence = f"Redis {version}, {memory.get('used_memory_human', '?')} used, policy {policy}."
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_REDIS:
        return Finding("redis_version", WARNING, sentence, "Upgrade to Redis 6.2 or newer.")
    if policy != "noeviction":
        return Finding(
            "redis_version",
            WARNING,
            sentence,
            "Set maxmemory-policy to noeviction: queued jobs must not be dropped.",
        )
    return Finding("redis_version", GOOD, sentence)


def _models() -> list[Finding]:
    given = env.text("ANNOTATOR_WEIGHTS")
    found = []
    if given and not Path(given).is_dir():
        found.append(
            Finding(
                "weights", BAD, f"ANNOTATOR_WEIGHTS names {given}, which is no folder.", "Correct the path."
            )
        )
    elif given and not any(Path(given).iterdir()):
        found.append(
            Finding(
                "weights",
                WARNING,
                f"The folder of weights {given} is empty.",
                "Put weights there, or unset it.",
            )
        )
    else:
        found.append(
            Finding(
                "weights",
                GOOD,
                f"Weights are looked for in {given or 'the data folder and the installed packages'}.",
            )
        )
    folder = Path(settings.HOME)
    if not os.access(folder, os.W_OK):
        found.append(
            Finding(
                "writable",
                BAD,
                "The data folder cannot be written.",
                "Give it to the user of the application.",
            )
        )
    return found


def _gpu() -> list[Finding]:
    try:
        note: dict[str, Any] | None = queues_served()["gpu"]
    except (RedisError, OSError):
        return []
    if note is None:
        return []
    gpus = int(note.get("gpus", 0))
    if gpus:
        return [Finding("gpu", GOOD, f"The training worker sees {gpus} GPU{'' if gpus == 1 else 's'}.")]
    return [
        Finding(
            "gpu", GOOD, "The training worker has no GPU: frozen encoders and small heads run on the CPU."
        )
    ]


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and parts.path == "" and not parts.query
