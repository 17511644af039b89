"""Settings whose values are more than a text or a number: addresses of servers, networks, ports, storages.

Nothing here reads the environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypedDict
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

Network = IPv4Network | IPv6Network
STORAGE_FIELDS = ("endpoint", "bucket", "prefix", "access_key", "secret_key", "region")


class RedisUrls(TypedDict):
    broker: str
    channels: str
    cache: str


class SettingError(ValueError):
    """A variable of the environment has a value that cannot be used; the message says what to do."""


def database_config(url: str, *, process: str = "web") -> dict[str, Any]:
    """Django's DATABASES entry for a PostgreSQL address; raises SettingError on any other kind."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise SettingError(
            "DATABASE_URL is not a PostgreSQL address: write postgresql://user:password@host:5432/name."
        )
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise SettingError("DATABASE_URL names no database: end it with /name.")
    try:
        port = parts.port
    except ValueError:
        raise SettingError("DATABASE_URL has a port that is not a number from 1 to 65535.") from None
    # Django turns prepared statements off unless told; the statements of the hot path ask for theirs.
    options: dict[str, Any] = {"prepare_threshold": 1_000_000} | dict(parse_qsl(parts.query))
    host = options.pop("host", "") or unquote(parts.hostname or "")
    config: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
    if process == "sockets":
        # Under ASGI Django cannot keep a connection per thread: a pool does.
        options["pool"] = {"min_size": 1, "max_size": 4, "timeout": 10}
        config["CONN_MAX_AGE"] = 0
    return config


def redis_urls(url: str) -> RedisUrls:
    """Forms of one Redis address for Celery, Channels and the cache, each in a database of its own."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    unix = parts.scheme == "unix"
    if parts.scheme not in {"unix", "redis", "rediss"} or (unix and not parts.path.startswith("/")):
        raise SettingError(
            "REDIS_URL is not a Redis address: write redis://host:6379/0 or unix:///path/redis.sock?db=0."
        )
    given = query.pop("db", "") or ("" if unix else parts.path.strip("/")) or "0"
    if not given.isdecimal():
        raise SettingError(f"REDIS_URL names database {given!r}, which is not a number.")
    base = int(given)
    if unix:
        at = f"{parts.netloc}{parts.path}"
        extra = "".join(f"&{key}={quote(value)}" for key, value in query.items())
        return {
            "broker": f"redis+socket://{at}?virtual_host={base}{extra}",
            "cache": f"unix://{at}?db={base + 2}{extra}",
            "channels": f"unix://{at}?db={base + 3}{extra}",
        }
    at = f"{parts.scheme}://{parts.netloc}"
    tail = f"?{urlencode(query)}" if query else ""
    return {
        "broker": f"{at}/{base}{tail}",
        "cache": f"{at}/{base + 2}{tail}",
        "channels": f"{at}/{base + 3}{tail}",
    }


def networks(name: str, values: Iterable[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(each) for each in values)
    except ValueError as error:
        raise SettingError(
            f"{name} is no list of networks ({error}): write something like 10.1.0.0/16."
        ) from None


def port_ranges(name: str, values: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """(first, last) of each range."""
    found = []
    for each in values:
        low, _, high = each.partition("-")
        ends = (low.strip(), (high or low).strip())
        if not all(end.isdecimal() and 1 <= int(end) <= 65535 for end in ends) or int(ends[0]) > int(ends[1]):
            raise SettingError(f"{name} contains {each!r}: write ports and ranges such as 80,443,8000-8999.")
        found.append((int(ends[0]), int(ends[1])))
    return tuple(found)


def storages(name: str, value: str) -> dict[str, dict[str, str]]:
    """{name of a storage: {each of STORAGE_FIELDS: text}}. No message tells a key."""
    try:
        given = json.loads(value) if value else {}
    except ValueError as error:
        raise SettingError(f"{name} is not JSON ({error}): correct it or unset it.") from None
    if not isinstance(given, dict):
        raise SettingError(f'{name} is not a JSON object: write {{"name": {{"endpoint": …}}}}.')
    return {each: _storage(f"The storage {each!r} of {name}", each, given[each]) for each in given}


def _storage(about: str, name: str, fields: Any) -> dict[str, str]:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", name):
        raise SettingError(f"{about} has a name with other characters than letters, digits, _ and -.")
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise SettingError(f"{about} is not an object of texts.")
    if unknown := sorted(set(fields) - set(STORAGE_FIELDS)):
        raise SettingError(
            f"{about} has the unknown field {unknown[0]!r}; known are {', '.join(STORAGE_FIELDS)}."
        )
    parts = urlsplit(fields.get("endpoint", ""))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingError(f"{about} needs an endpoint such as https://s3.example.org.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", fields.get("bucket", "")):
        raise SettingError(f"{about} needs the name of a bucket.")
    if bool(fields.get("access_key")) != bool(fields.get("secret_key")):
        raise SettingError(
            f"{about} has one of access_key and secret_key; give both, or none for a public bucket."
        )
    return dict.fromkeys(STORAGE_FIELDS, "") | {"region": "us-east-1"} | fields
