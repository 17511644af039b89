"""Images made on the spot, whole and broken."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def image_bytes(
    size: tuple[int, int] = (6, 4),
    kind: str = "PNG",
    *,
    mode: str = "RGB",
    colour: object = (200, 30, 30),
    exif: int = 0,
) -> bytes:
    """An image of one colour; `exif` is the orientation written into it."""
    out = io.BytesIO()
    options = {}
    if exif:
        tags = Image.Exif()
        tags[0x0112] = exif
        options["exif"] = tags
    Image.new(mode, size, colour).save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header promises any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
