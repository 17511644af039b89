"""What a format is: how to look into a file, how to read it row by row, and how to write records, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from annotator.transfer.output import Target
    from annotator.transfer.records import ExportItem

EXCERPT = 200  # characters of a bad row that its error shows
PREVIEW_ROWS = 10
TEXT, IMAGE = frozenset({"text"}), frozenset({"image"})
BOTH = TEXT | IMAGE
TASKS = frozenset({"single", "multi"})


@dataclass
class Source:
    """A file to read; readers keep `position` (bytes read so far) current, so that progress can be told.

    `refused` says why this one must not be opened at all: it is reported, the others are read.
    """

    path: Path
    name: str
    position: int = 0
    refused: str = ""

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a file is to be understood. Columns are named; an empty name means 'none'.

    `folder_labels`: the folder that holds an image names its class. `keep_rest`: other columns go into the item's meta.
    With `by_reference`, images that lie elsewhere are not copied.
    `label_separator` splits a cell with several classes; empty means one class a cell. `sheet`: of a workbook, its
    first where empty. `conflict`: what becomes of a row whose id has other content (`items.matching.OnConflict`).
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    text: str = ""
    external_id: str = ""
    label: str = ""
    split: str = ""
    group: str = ""
    label_separator: str = ""
    keep_rest: bool = False
    folder_labels: bool = False
    by_reference: bool = False
    sheet: str = ""
    conflict: str = "keep"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Unknown keys are ignored: they come from an older or newer release."""
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One item as the file tells it, not yet checked. `line` counts from 1 in its source.

    Of a row with `fetch`, the payload comes from there: a URL, or `storage:name/key`. With a `location` the payload is
    looked at but not kept: it is fetched from there again whenever it is needed.
    `written` is the name before it was brought into normal form, where that changed it.
    `predictions`: {name of the model: {class: probability}}, as the file has them.
    """

    line: int
    external_id: str = ""
    written: str = ""
    text: str | None = None
    payload: bytes | None = None
    fetch: str = ""
    location: str = ""
    labels: tuple[str, ...] = ()
    split: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RowError:
    """A row that cannot be an item, and why, in words for people."""

    line: int
    reason: str
    excerpt: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a look into a file found: guessed options, columns with their first rows, remarks."""

    options: Options
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    entries: int | None = None
    notes: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Format:
    """`inspect` raises FormatError when the file is nothing of the kind; `read` yields, and raises FormatError only for
    what makes the rest of the file unreadable. Neither writes anything: reading is its own dry run.

    `recognises` tells a file of this format among others with the same ending; without it the format takes what no
    other recognises. `write` gets records and a target; what it has no place for is not in `holds` (keys of
    losses.PARTS) and is counted for it. `plain` names its one file, where it writes only one that matters.
    `written_for`: modalities it is written for although it cannot read them. `fetches`: its rows name where their
    images lie. `asks`: options beyond the columns that people choose for it. `restores`: it may hold a whole project.
    """

    key: str
    title: str
    modalities: frozenset[str]
    extensions: tuple[str, ...]
    inspect: Callable[[Source, Options | None], Layout]
    read: Callable[[Source, Options], Iterator[Row | RowError]]
    tabular: bool = False
    asks: frozenset[str] = frozenset()
    restores: bool = False
    fetches: bool = False
    recognises: Callable[[Source], bool] | None = None
    write: Callable[[Iterable[ExportItem], Target], None] | None = None
    holds: frozenset[str] = frozenset()
    written_for: frozenset[str] = frozenset()
    tasks: frozenset[str] = TASKS
    plain: str = ""
    about: str = ""

    def writes(self, *, modality: str, task: str) -> bool:
        """Whether projects of this kind can be exported so."""
        fits = modality in self.modalities | self.written_for and task in self.tasks
        return self.write is not None and fits


class FormatError(ValueError):
    """The file cannot be read as this format; the text says why."""
