"""Training files of fastText: __label__key in front of the text, one a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from annotator.transfer.formats.base import EXCERPT, TEXT, Format, Layout, Options, Row, RowError, Source
from annotator.transfer.formats.characters import detect_encoding, lines
from annotator.transfer.formats.parts import LINE_ENDS, beginning, preview, text_row
from annotator.transfer.output import Target
from annotator.transfer.records import ExportItem

PREFIX = "__label__"
WORD = re.compile(r"(?<!\S)__label__")
LABELS = re.compile(r"((?:__label__\S+[ \t]?)*)")
NAMES = {"train": "train.txt", "validation": "validation.txt", "test": "test.txt"}
PLAIN = "fasttext.txt"


def write(items: Iterable[ExportItem], target: Target) -> None:
    """One file, or one for each split where the export divides."""
    divided = target.context.divided
    files = {part: target.open(name) for part, name in NAMES.items()} if divided else {}
    one = None if divided else target.open(PLAIN)
    for item in items:
        text = item.text or ""
        if LINE_ENDS.search(text):
            target.losses.add("line_breaks")
            text = LINE_ENDS.sub(" ", text)
        if WORD.search(text):
            # fastText takes such words for labels wherever they stand.
            target.losses.add("label_words")
            text = WORD.sub("label", text)
        labels = [f"{PREFIX}{key}" for key in item.consensus or ()]
        line = " ".join([*labels, text]) + "\n"
        (one or files[item.part]).write(line.encode())


def recognises(source: Source) -> bool:
    return beginning(source).lstrip().startswith(PREFIX)


def inspect(source: Source, given: Options | None) -> Layout:
    return preview(source, read(source, given or Options(encoding=detect_encoding(source))), given)


def read(source: Source, options: Options) -> Iterator[Row | RowError]:
    for number, (line, whole) in enumerate(lines(source, options.encoding), start=1):
        if not whole:
            yield RowError(line=number, reason="The line is too long.", excerpt=line[:EXCERPT])
        elif line.strip():
            found = LABELS.match(line)
            assert found is not None
            labels = [word.removeprefix(PREFIX) for word in found[1].split()]
            text = line[found.end() :].strip("\r\n")
            yield text_row(number, text=text, labels=tuple(dict.fromkeys(labels)))


FORMAT = Format(
    key="fasttext",
    title="fastText",
    modalities=TEXT,
    extensions=(".txt",),
    inspect=inspect,
    read=read,
    recognises=recognises,
    write=write,
    holds=frozenset(),
    plain=PLAIN,
    about="Keys of the agreed classes in front of each text, which becomes one line.",
)
