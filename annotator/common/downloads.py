"""Files as answers: small ones at once, large ones in pieces, none left open when nobody reads the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

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


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
