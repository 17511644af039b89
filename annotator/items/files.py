"""Bytes of assets on disk, by content hash, and the smaller pictures made from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from annotator.items.models import Asset
from annotator.modalities import image


def asset_path(project_id: int, digest: str) -> Path:
    """Where the bytes lie. `digest` is our own SHA-256, never a name somebody gave."""
    return _folder("assets", project_id, digest) / digest


def thumbnail_path(project_id: int, digest: str) -> Path:
    return _folder("thumbnails", project_id, digest) / f"{digest}.webp"


def display_path(project_id: int, digest: str) -> Path:
    return _folder("thumbnails", project_id, digest) / f"{digest}.png"


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


def store(project_id: int, digest: str, data: bytes) -> None:
    """Keep the bytes; a file that is there already, whole, stays."""
    path = asset_path(project_id, digest)
    if not path.exists() or path.stat().st_size != len(data):
        write_atomically(path, data)


def make_pictures(project_id: int, asset: Asset, data: bytes | Path) -> None:
    """The thumbnail, and what browsers show of formats they do not know, where the bytes themselves will not do."""
    if not is_own_thumbnail(asset):
        path = thumbnail_path(project_id, asset.digest)
        if not path.exists():
            write_atomically(path, image.thumbnail(data))
    if asset.media_type not in image.SHOWN_BY_BROWSERS:
        path = display_path(project_id, asset.digest)
        if not path.exists():
            write_atomically(path, image.display(data))


def is_own_thumbnail(asset: Asset) -> bool:
    """Whether the image is so small that it is its own thumbnail."""
    small = max(asset.width or 0, asset.height or 0) <= image.THUMBNAIL_SIDE
    return small and asset.size <= 100_000 and asset.media_type in image.SHOWN_BY_BROWSERS


def remove(project_id: int, digests: Iterable[str]) -> None:
    """Delete the bytes and pictures of assets that are no more."""
    for digest in digests:
        for path_of in (asset_path, thumbnail_path, display_path):
            path_of(project_id, digest).unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """The file is there with all its bytes, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _folder(kind: str, project_id: int, digest: str) -> Path:
    return Path(settings.MEDIA_ROOT) / kind / str(project_id) / digest[:2]
