"""S3-style storages that the administrator named: pages of objects, and their bytes.

Their endpoints are trusted with their own keys and may be private; redirects are never followed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

from django.conf import settings

from annotator.common.errors import NotFound
from annotator.common.fetch import DEFAULT_PORTS, Fetched, FetchFailed, Target, copy_body, send
from annotator.common.signing import encoded_path, encoded_query, signed_headers

PREFIX = "storage:"
PAGE = 1_000
MAX_LISTING = 16 * 2**20
LISTING_SECONDS = 60.0
LOOK_SECONDS = 5.0  # while a person waits


@dataclass(frozen=True, kw_only=True)
class Storage:
    name: str
    endpoint: str
    bucket: str
    prefix: str
    access_key: str
    secret_key: str
    region: str


@dataclass(frozen=True)
class Stored:
    """An object of a bucket; `key` begins behind the storage's own prefix."""

    key: str
    size: int


def names() -> list[str]:
    """The storages one may choose from."""
    return sorted(settings.IMPORT_STORAGES)


def storage(name: str) -> Storage:
    """The storage of that name, as the settings say now."""
    try:
        return Storage(name=name, **settings.IMPORT_STORAGES[name])
    except KeyError:
        raise NotFound(
            f"There is no storage “{name[:50]}”.",
            code="no_storage",
            hint="Administrators name storages in ANNOTATOR_STORAGES.",
        ) from None


def location_of(found: Storage, key: str) -> str:
    return f"{PREFIX}{found.name}/{key}"


def split_location(location: str) -> tuple[str, str]:
    """Name and key of `storage:name/key`."""
    name, _, key = location.removeprefix(PREFIX).partition("/")
    return name, key


def list_objects(found: Storage, prefix: str, *, timeout: float = LISTING_SECONDS) -> Iterator[Stored]:
    """All objects whose key begins with `prefix`, in the storage's order, a page at a time."""
    token = ""
    while True:
        query = {
            "list-type": "2",
            "prefix": found.prefix + prefix,
            "max-keys": str(PAGE),
            "encoding-type": "url",
        }
        page = io.BytesIO()
        _get(found, "", query | ({"continuation-token": token} if token else {}), MAX_LISTING, timeout, page)
        objects, token = _parsed(found, page.getvalue())
        yield from objects
        if not token:
            return


def get_object(found: Storage, key: str, *, max_bytes: int, timeout: float, into: BinaryIO) -> Fetched:
    """Write an object's bytes into a file; FetchFailed when it is gone, too large, or the storage says no."""
    return _get(found, found.prefix + key, {}, max_bytes, timeout, into)


def _get(
    found: Storage, key: str, query: Mapping[str, str], max_bytes: int, timeout: float, into: BinaryIO
) -> Fetched:
    parts = urlsplit(found.endpoint)
    host = parts.hostname or ""
    path = f"/{found.bucket}" + (f"/{key}" if key else "")
    text = encoded_path(path) + (f"?{encoded_query(query)}" if query else "")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    target = Target(found.endpoint, parts.scheme, host, port, text, (host,))
    headers = {"Accept-Encoding": "identity"}
    if found.access_key:
        headers |= signed_headers(
            host=target.authority,
            path=path,
            query=query,
            access_key=found.access_key,
            secret_key=found.secret_key,
            region=found.region,
            now=datetime.now(UTC),
        )
    deadline = time.monotonic() + timeout
    with closing(send(target, "GET", headers, b"", max_bytes=max_bytes, deadline=deadline)) as answer:
        if answer.status == 404:
            what = f"no object “{key}”" if key else f"no bucket “{found.bucket}”"
            raise FetchFailed(f"The storage “{found.name}” has {what} (any more).")
        if answer.status != 200:
            raise FetchFailed(f"The storage “{found.name}” answered {answer.status} {answer.reason[:100]}.")
        size = copy_body(answer, into, max_bytes)
        media_type = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()[:100]
        return Fetched(answer.status, media_type, size, found.endpoint + target.path)


def _parsed(found: Storage, page: bytes) -> tuple[list[Stored], str]:
    """The objects of one page and the token of the next, '' behind the last."""
    if b"<!DOCTYPE" in page or b"<!ENTITY" in page:
        raise FetchFailed(f"The storage “{found.name}” does not list its objects as S3 does.")
    try:
        root = ElementTree.fromstring(page)  # noqa: S314 - bounded, no entities, of an administrator's storage
        objects = [_stored(found, each) for each in root.iterfind("{*}Contents")]
    except (ElementTree.ParseError, ValueError):
        raise FetchFailed(f"The storage “{found.name}” does not list its objects as S3 does.") from None
    more = (root.findtext("{*}IsTruncated") or "").strip() == "true"
    return [each for each in objects if each.key and not each.key.endswith("/")], (
        (root.findtext("{*}NextContinuationToken") or "") if more else ""
    )


def _stored(found: Storage, element: ElementTree.Element) -> Stored:
    key = unquote_plus(element.findtext("{*}Key") or "")
    return Stored(key.removeprefix(found.prefix), int(element.findtext("{*}Size") or 0))
