"""Files as answers: small ones at once, large ones in pieces or from where a download broke off, none left open when
nobody reads the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

AT_ONCE = 4 * 2**20
PIECE = 2**16


def file_response(path: Path, content_type: str) -> HttpResponseBase:
    """The file's bytes; raises FileNotFoundError when there is none."""
    size = path.stat().st_size
    if size <= AT_ONCE:
        return HttpResponse(path.read_bytes(), content_type=content_type)
    return StreamingHttpResponse(
        _pieces(path), content_type=content_type, headers={"Content-Length": str(size)}
    )


RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def resumable_response(
    request: HttpRequest, path: Path, content_type: str, *, name: str, etag: str
) -> HttpResponseBase:
    """A download under `name` that can go on where it broke off (RFC 9110, one range); `etag` without quotes.

    A range of another version of the file, or several, are answered with the whole.
    """
    size = path.stat().st_size
    found = RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    same = request.headers.get("If-Range", f'"{etag}"') == f'"{etag}"'
    response: HttpResponseBase
    if found and same and any(found.groups()):
        first, last = _span(found[1], found[2], size)
        if first > last:
            response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        else:
            response = StreamingHttpResponse(
                _pieces(path, first, last - first + 1), status=206, content_type=content_type
            )
            response["Content-Range"] = f"bytes {first}-{last}/{size}"
            response["Content-Length"] = str(last - first + 1)
    else:
        response = file_response(path, content_type)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{etag}"'
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-cache"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte; the first lies behind the last where the range has none of the file's bytes."""
    if not first:  # the last so many bytes
        return max(0, size - int(last)), size - 1 if int(last) else -1
    return int(first), min(int(last) if last else size - 1, size - 1)


def _pieces(path: Path, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = length if length is not None else path.stat().st_size - start
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
