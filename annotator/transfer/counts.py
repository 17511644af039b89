"""What an import did so far, and the file that names the rows it could not take."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from annotator.items.matching import Match, NewItem, Outcome
from annotator.transfer.formats.cells import FORMULA_STARTS

ERROR_COLUMNS = ("file", "line", "reason", "excerpt")
MAX_UNKNOWN_LABELS = 100


@dataclass
class Counts:
    """`rows` = created + known + rejected: no row is lost in silence. `error_bytes` is the length of the error file.

    `conflicts`: rows whose id has other content, whatever became of them. `alike`: names of files that differ from
    another one only in case, Unicode form or ending. `listed`: rows in the error file. `splits`: of rows that are items.
    `restored`: a native export came back as a whole.
    """

    rows: int = 0
    created: int = 0
    known: int = 0
    rejected: int = 0
    conflicts: int = 0
    alike: int = 0
    listed: int = 0
    labelled: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    error_bytes: int = 0
    restored: bool = False
    unknown_labels: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def add(self, item: NewItem, match: Match, known_labels: frozenset[str]) -> None:
        """Count a row and what became of it."""
        self.created += match.outcome is Outcome.CREATED
        self.known += match.outcome is Outcome.KNOWN
        self.rejected += match.outcome is Outcome.CHANGED
        self.conflicts += match.conflict
        if match.outcome is not Outcome.CHANGED:
            self.splits[item.split] = self.splits.get(item.split, 0) + 1
            if item.classes:
                self.add_labels(item.classes, known_labels)

    def add_labels(self, labels: Iterable[str], known: frozenset[str]) -> None:
        """Count an item's imported labels; `known` are the project's class keys and names, casefolded."""
        self.labelled += 1
        for label in labels:
            if label.casefold() not in known and (
                label in self.unknown_labels or len(self.unknown_labels) < MAX_UNKNOWN_LABELS
            ):
                self.unknown_labels[label] = self.unknown_labels.get(label, 0) + 1

    def summary(self) -> str:
        parts = [f"{self.created:,} new", f"{self.known:,} already there"]
        return ", ".join([*parts, *([f"{self.rejected:,} with errors"] if self.rejected else [])])


class ErrorFile:
    """Bad rows as CSV. Opened at a length: lines that a crashed run wrote after its last commit are cut off."""

    def __init__(self, path: Path, length: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(length)
        self._file.seek(length)
        if length == 0:
            self._write([ERROR_COLUMNS])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, rows: Iterable[tuple[str, int, str, str]]) -> int:
        """Append (file, line, reason, excerpt); returns the file's length, which is then on its way to the disk."""
        self._write(
            (_harmless(name), line, reason, _harmless(excerpt)) for name, line, reason, excerpt in rows
        )
        self._file.flush()
        return self._file.tell()

    def _write(self, rows: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def read_errors(path: Path, limit: int) -> list[dict[str, str]]:
    """The first `limit` bad rows."""

    def rows() -> Iterator[dict[str, str]]:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)

    return list(islice(rows(), limit)) if path.exists() else []


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, on one line."""
    cell = cell.replace("\0", "␀")
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
