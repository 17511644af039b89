"""Bytes of assets on disk, by content hash, and the smaller pictures made from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from annotator.common.errors import AnnotatorError
from annotator.items import references
from annotator.items.models import Asset
from annotator.modalities import decoding
from annotator.modalities.image import ImageInfo

FETCHED_AT_ONCE = 6


def asset_path(project_id: int, digest: str) -> Path:
    """Where the bytes lie. `digest` is our own SHA-256, never a name somebody gave."""
    return _folder("assets", project_id, digest) / digest


def thumbnail_path(project_id: int, digest: str) -> Path:
    return _folder("thumbnails", project_id, digest) / f"{digest}.webp"


def display_path(project_id: int, digest: str) -> Path:
    return _folder("thumbnails", project_id, digest) / f"{digest}.png"


def original(asset: Asset) -> Path:
    """Where the bytes of an asset can be read: the one way to them. FileNotFoundError when they were kept and are gone.

    What is kept elsewhere is fetched, compared with the digest, and stays a while in a bounded cache; AnnotatorError
    says why it cannot be had.
    """
    kept = asset_path(asset.project_id, asset.digest)
    if kept.exists() or not asset.location:
        if not kept.exists():
            raise FileNotFoundError(kept)
        return kept
    return references.cached(asset.location, asset.digest, asset.size)


def at_hand(asset: Asset) -> bool:
    """Whether the bytes can be read without asking another server."""
    kept = asset_path(asset.project_id, asset.digest)
    return kept.exists() or references.cache_path(asset.digest).exists()


def readable(project_id: int, wanted: Mapping[str, tuple[int, str]]) -> dict[str, Path]:
    """Paths of many assets, given as {digest: (size, location)}; what lies elsewhere is fetched a few at a time.

    What cannot be had has a path at which nothing is: whoever reads many goes on with the others.
    """

    def path_of(digest: str) -> Path:
        size, location = wanted[digest]
        try:
            return original(Asset(project_id=project_id, digest=digest, size=size, location=location))
        except (FileNotFoundError, AnnotatorError):
            return asset_path(project_id, digest)

    away = [digest for digest, (_, location) in wanted.items() if location]
    found = {digest: asset_path(project_id, digest) for digest in wanted}
    if away:
        with ThreadPoolExecutor(FETCHED_AT_ONCE, "fetch") as pool:
            found |= zip(away, pool.map(path_of, away), strict=True)
    return found


def digest_of(data: bytes) -> str:
    return sha256(data).hexdigest()


def store(project_id: int, digest: str, data: bytes) -> None:
    """Keep the bytes; a file that is there already, whole, stays."""
    path = asset_path(project_id, digest)
    if not path.exists() or path.stat().st_size != len(data):
        write_atomically(path, data)


def make_pictures(project_id: int, digest: str, data: bytes | Path) -> ImageInfo:
    """What the image is, decoded in a process with limits; ModalityError when it is none.

    Keeps the thumbnail, and what browsers show of images they cannot draw, where the bytes themselves will not do.
    """
    small, large = thumbnail_path(project_id, digest), display_path(project_id, digest)
    found = decoding.examine(data, thumbnail=not small.exists(), display=not large.exists())
    for path, picture in ((small, found.thumbnail), (large, found.display)):
        if picture is not None:
            write_atomically(path, picture)
    return found.info


def look(data: bytes | Path) -> ImageInfo:
    """As `make_pictures`, and nothing is kept."""
    return decoding.examine(data, thumbnail=False, display=False).info


def thumbnail_of(data: bytes) -> bytes:
    """The thumbnail alone, and nothing is kept; the image itself where it is as small as one. ModalityError."""
    return decoding.examine(data, display=False).thumbnail or data


def info_of(asset: Asset) -> ImageInfo:
    """What is known of an asset that is an image."""
    return ImageInfo(asset.media_type, asset.size, asset.width or 0, asset.height or 0, asset.frames)


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
