"""Texts: what may be one, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from annotator.modalities.errors import ModalityError

MAX_BYTES = 2**20


@dataclass(frozen=True)
class TextInfo:
    """A text that may become an item; `digest` is the SHA-256 of its UTF-8 bytes."""

    text: str
    size: int
    digest: str


def probe(source: bytes | str) -> TextInfo:
    """The text as it will be stored, unchanged; ModalityError when it is empty, too long or no clean UTF-8."""
    if isinstance(source, bytes):
        if len(source) > MAX_BYTES:
            raise ModalityError(_too_long(len(source)))
        try:
            source = source.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModalityError(f"Not UTF-8: byte {error.start + 1} cannot be read.") from None
    if not source.strip():
        raise ModalityError("The text is empty.")
    if "\0" in source:
        raise ModalityError("The text contains a NUL character, as binary files do.")
    try:
        data = source.encode("utf-8")
    except UnicodeEncodeError:
        # Readers pass undecodable bytes on as lone surrogates.
        raise ModalityError("The text contains bytes that are not in the file's encoding.") from None
    if len(data) > MAX_BYTES:
        raise ModalityError(_too_long(len(data)))
    return TextInfo(text=source, size=len(data), digest=sha256(data).hexdigest())


def _too_long(size: int) -> str:
    return f"The text is too long: {size:,} bytes, {MAX_BYTES:,} are allowed."
