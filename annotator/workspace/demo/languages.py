"""Strings of user interfaces in sixteen languages, from the translations that installed packages bring along."""

from __future__ import annotations

import random
import re
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from annotator.transfer.formats import Row
from annotator.workspace.demo.sample import Sample

PACKAGES = ("django", "rest_framework")
LANGUAGES = {
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "pl": "Polish",
    "cs": "Czech",
    "tr": "Turkish",
    "ru": "Russian",
    "uk": "Ukrainian",
    "el": "Greek",
    "ar": "Arabic",
    "he": "Hebrew",
    "ja": "Japanese",
    "zh": "Chinese",
}
CODES = {"zh_Hans": "zh"}  # folders named otherwise
DENSE_SCRIPTS = frozenset({"ja", "zh"})  # a character is nearly a word
LEAST_LETTERS = 5
LEAST_LETTERS_DENSE = 3
LONGEST = 300
TEST = 2_000
SEED = 20_242

MARKUP = re.compile(
    r"%\([^)]*\)[#0\- +]*[\d.]*[a-zA-Z]"  # %(name)s
    r"|%[#0\- +]*[\d.]*[diouxXeEfFgGcrs](?![a-zA-Z])"  # %s
    r"|\{[^}]*\}|<[^>]*>|&\w+;"  # {name}, tags, entities
)
EDGES = " \t\n:;,.…-–—()[]\"'«»“”„/|*#=>"
MAGIC = 0x950412DE


def samples() -> list[Sample]:
    """Distinct strings in a fixed random order, under names that tell nothing; the last TEST are held out."""
    by_language = {code: _strings(code, paths) for code, paths in _catalogues().items()}
    seen = Counter(text for texts in by_language.values() for text in texts)
    # What reads the same in two languages has no one answer.
    found = sorted((text, code) for code, texts in by_language.items() for text in texts if seen[text] == 1)
    random.Random(SEED).shuffle(found)  # noqa: S311 - an order, no secret
    first_test = len(found) - TEST
    return [
        Sample(
            row=Row(
                line=n + 1,
                external_id=f"string-{n + 1:05}",
                text=text,
                split="test" if n >= first_test else "pool",
            ),
            answer=code,
        )
        for n, (text, code) in enumerate(found)
    ]


def cleaned(text: str) -> str:
    """The words of an interface string: no placeholders, tags, accelerators or edges of punctuation."""
    text = unicodedata.normalize("NFC", MARKUP.sub(" ", text).replace("\u200e", "").replace("\u200f", ""))
    return re.sub(r"\s+", " ", text).strip(EDGES)


def entries(data: bytes) -> Iterator[tuple[str, str]]:
    """(original, translation) of each form of each message in a compiled catalogue (GNU gettext .mo)."""
    order = "<" if struct.unpack_from("<I", data)[0] == MAGIC else ">"
    _, _, count, originals, translations = struct.unpack_from(f"{order}5I", data)
    for n in range(count):
        original, translation = (
            data[start : start + length].decode("utf-8", "replace")
            for length, start in (
                struct.unpack_from(f"{order}2I", data, table + 8 * n) for table in (originals, translations)
            )
        )
        message = original.rpartition("\x04")[2].split("\0")[0]
        if message:
            for form in translation.split("\0"):
                yield message, form


def _strings(code: str, catalogues: list[Path]) -> set[str]:
    least = LEAST_LETTERS_DENSE if code in DENSE_SCRIPTS else LEAST_LETTERS
    kept = set()
    for path in catalogues:
        for original, translation in entries(path.read_bytes()):
            text = cleaned(translation)
            letters = sum(character.isalpha() for character in text)
            if letters >= least and len(text) <= LONGEST and text != cleaned(original):
                kept.add(text)
    return kept


def _catalogues() -> dict[str, list[Path]]:
    """Catalogues of each language, by the folder …/locale/<code>/LC_MESSAGES/."""
    found: dict[str, list[Path]] = {code: [] for code in LANGUAGES}
    for package in PACKAGES:
        spec = find_spec(package)
        if spec and spec.origin:
            for path in Path(spec.origin).parent.rglob("*.mo"):
                code = CODES.get(path.parent.parent.name, path.parent.parent.name)
                if code in found:
                    found[code].append(path)
    return found
