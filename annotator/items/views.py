"""Bytes of assets, for members of their project only, and never as anything a browser would run."""

from __future__ import annotations

import threading
from pathlib import Path

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from annotator.common.downloads import file_response
from annotator.common.errors import Busy, NotFound
from annotator.items import files
from annotator.items.models import Asset
from annotator.modalities import ModalityError
from annotator.modalities.image import SHOWN_BY_BROWSERS
from annotator.projects.access import require_role

# An asset never changes: its address may be kept for good, but only by the person's own browser.
CACHE_CONTROL = "private, max-age=31536000, immutable"
# Of one process's threads, so many may wait for other servers.
_fetching = threading.BoundedSemaphore(3)


@require_safe
@login_required
def asset(request: HttpRequest, project_id: int, asset_id: int) -> HttpResponseBase:
    """The image as browsers can show it; `?original` downloads the imported bytes."""
    require_role(request.user, project_id)
    found = get_asset(project_id, asset_id)
    if "original" in request.GET:
        return asset_response(request, found, variant="original")
    return asset_response(request, found, variant="display")


@require_safe
@login_required
def thumbnail(request: HttpRequest, project_id: int, asset_id: int) -> HttpResponseBase:
    """A picture of at most 256 pixels each way."""
    require_role(request.user, project_id)
    return asset_response(request, get_asset(project_id, asset_id), variant="thumbnail")


def get_asset(project_id: int, asset_id: int) -> Asset:
    found = Asset.objects.filter(project_id=project_id, pk=asset_id).first()
    if found is None:
        raise NotFound("There is no such file in this project.", hint="It may have been deleted.")
    return found


def asset_response(request: HttpRequest, found: Asset, *, variant: str) -> HttpResponseBase:
    """`variant`: original (a download), display or thumbnail."""
    etag = f'"{found.digest[:40]}-{variant}"'
    response: HttpResponseBase
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponseNotModified()
    else:
        try:
            path, media_type = _file(found, variant)
            response = file_response(path, media_type)
        except FileNotFoundError:
            raise NotFound(
                "The file of this item is missing on the server.",
                code="asset_missing",
                hint="Import it again.",
            ) from None
        inline = variant != "original" and media_type in SHOWN_BY_BROWSERS
        suffix = media_type.removeprefix("image/") if media_type.startswith("image/") else "bin"
        name = f"{found.digest[:16]}.{suffix}"
        response["Content-Disposition"] = f'{"inline" if inline else "attachment"}; filename="{name}"'
    response["ETag"] = etag
    response["Cache-Control"] = CACHE_CONTROL
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    patch_vary_headers(response, ["Cookie"])
    return response


def _file(found: Asset, variant: str) -> tuple[Path, str]:
    info = files.info_of(found)
    if variant == "thumbnail" and not info.own_thumbnail:
        path, media_type = files.thumbnail_path(found.project_id, found.digest), "image/webp"
    elif variant == "display" and not info.shown_as_it_is:
        path, media_type = files.display_path(found.project_id, found.digest), "image/png"
    else:
        return _original(found), found.media_type
    if not path.exists():
        # Made when imported; a folder that was emptied to save space fills itself again.
        try:
            files.make_pictures(found.project_id, found.digest, _original(found))
        except ModalityError as error:
            raise NotFound(
                "The file of this item cannot be read.", code="asset_damaged", hint=str(error)
            ) from error
    return path, media_type


def _original(found: Asset) -> Path:
    """Where the bytes are; of those that lie elsewhere only a few are fetched at a time, so that others are served."""
    if not found.location or files.at_hand(found):
        return files.original(found)
    if not _fetching.acquire(blocking=False):
        raise Busy("Too many images are being fetched from elsewhere.", hint="Try again in a few seconds.")
    try:
        return files.original(found)
    finally:
        _fetching.release()
