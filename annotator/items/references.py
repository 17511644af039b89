"""Bytes that lie elsewhere: fetched when needed, compared with the digest of their import, kept a while on disk."""

from __future__ import annotations

import io
import os
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from annotator.common import storages
from annotator.common.errors import AnnotatorError
from annotator.common.fetch import fetch
from annotator.modalities.image import MAX_BYTES

TIMEOUT = 30.0  # seconds for an import to get one image
VIEW_TIMEOUT = 10.0  # while somebody waits for it
# Files that somebody may be about to read are left, even if the cache is over its size for a while.
JUST_USED = 300.0
LOOK_EVERY = 32  # files added between two looks at the size of the cache

_added = 0
_counting = threading.Lock()


class Changed(AnnotatorError):
    """The object is not what was imported any more."""

    code, status = "asset_changed", 502


def download(location: str, into: BinaryIO, timeout: float = TIMEOUT) -> None:
    """Write the object at a URL or `storage:name/key` into a file; FetchRefused or FetchFailed."""
    if location.startswith(storages.PREFIX):
        name, key = storages.split_location(location)
        storages.get_object(storages.storage(name), key, max_bytes=MAX_BYTES, timeout=timeout, into=into)
    else:
        fetch(location, max_bytes=MAX_BYTES, timeout=timeout, into=into)


def cached(location: str, digest: str, size: int) -> Path:
    """A file with the bytes; Changed when they are others than at import, FetchRefused or FetchFailed."""
    path = cache_path(digest)
    with suppress(FileNotFoundError):
        os.utime(path)
        return path
    data = io.BytesIO()
    download(location, data, VIEW_TIMEOUT)
    content = data.getvalue()
    if sha256(content).hexdigest() != digest:
        raise Changed(
            f"The image at {location} has changed since it was imported.",
            hint=f"It had {size:,} bytes and has {len(content):,} now. Import it again as a new item.",
        )
    _keep(path, content)
    return path


def cache_path(digest: str) -> Path:
    return folder() / digest[:2] / digest


def folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "cache"


def trim(limit: int) -> int:
    """Delete the files that were not used for longest until the cache has at most `limit` bytes; how many are left."""
    found = []
    for path in folder().glob("*/*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for used, size, path in sorted(found):
        if total <= limit or used > time.time() - JUST_USED:
            break
        path.unlink(missing_ok=True)
        total -= size
    return total


def _keep(path: Path, content: bytes) -> None:
    global _added
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    with _counting:
        _added += 1
        due = _added % LOOK_EVERY == 1
    if due:
        trim(settings.CACHE_BYTES)
