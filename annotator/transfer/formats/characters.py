"""From bytes to lines: encodings, byte order marks, and lines too long to hold."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from annotator.modalities.text import MAX_BYTES
from annotator.transfer.formats.base import FormatError, Source

SAMPLE_BYTES = 2**18
# A line may hold several texts and escapes; more than this is not a table of texts.
MAX_LINE = 4 * MAX_BYTES
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Windows-1252 (Western Europe)",
    "latin-1": "ISO 8859-1 (Latin 1)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "gb18030": "GB 18030 (Chinese)",
    "shift_jis": "Shift JIS (Japanese)",
    "euc_kr": "EUC-KR (Korean)",
    "utf-16": "UTF-16",
}


def detect_encoding(source: Source) -> str:
    """By byte order mark, else UTF-8 if the beginning is, else the most common legacy encoding; refuses binary files."""
    with source.path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    if not sample.strip():
        raise FormatError("The file is empty.")
    for mark, encoding in BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return encoding
    if sample.count(b"\0") > len(sample) // 100:
        raise FormatError("This is a binary file, not text.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def lines(source: Source, encoding: str) -> Iterator[tuple[str, bool]]:
    """(line with its end, whether it is whole). Lines beyond MAX_LINE characters are cut and marked.

    Bytes that are not in the encoding become lone surrogates (UTF-8) or U+FFFD, for the row's check to find.
    """
    with source.path.open("rb") as file, _decoded(file, encoding) as stream:
        while line := stream.readline(MAX_LINE):
            whole = len(line) < MAX_LINE or line.endswith("\n")
            if not whole:
                while (rest := stream.readline(MAX_LINE)) and not rest.endswith("\n"):
                    pass
                line = line[:1000] + "\n"
            source.position = file.tell()
            yield line, whole


def _decoded(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    if name not in {*ENCODINGS, "utf-8-sig"}:
        raise FormatError(f"Unknown encoding {encoding!r}.")
    errors = "surrogateescape" if name == "utf-8-sig" else "replace"
    # Line ends inside quoted fields belong to the text: no translation.
    return io.TextIOWrapper(file, encoding=name, errors=errors, newline="")
