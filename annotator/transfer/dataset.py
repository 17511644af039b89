"""A data set as exports see it: records of a project as it is now, or of a snapshot, with filters and splits applied."""

from __future__ import annotations

import gzip
import json
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from annotator.common.errors import Conflict
from annotator.projects.models import Project
from annotator.transfer.models import Snapshot
from annotator.transfer.output import Context, Label
from annotator.transfer.records import ExportItem, Records
from annotator.transfer.selection import PARTS, Filters, Selection, Splits
from annotator.transfer.splits import assign, fingerprint

Watch = Callable[[int], None]
DAMAGED = "The file of this snapshot is not what was frozen: it was changed or damaged on the server."
RESTORE_FILE = "Restore it from a backup; a new snapshot would be of today."


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as a whole line, with what the writers of lines need beside it."""

    row: int
    asset: dict[str, Any] | None
    line: bytes


class Dataset(Protocol):
    """What can be exported. `entries` may be asked for once; `count` is an upper bound of how many there are."""

    header: dict[str, Any]
    divided: bool

    @property
    def count(self) -> int: ...

    def entries(self, watch: Watch | None = None) -> Iterator[Entry]: ...


class LiveDataset:
    """A project as it is when this is made."""

    def __init__(self, project: Project, selection: Selection) -> None:
        self._records = Records(project)
        self._selection = selection
        self.header = self._records.header()
        self.divided = selection.splits is not None
        self._pictures = project.modality == Project.Modality.IMAGE

    @property
    def moment(self) -> str:
        return self._records.moment.isoformat()

    @property
    def count(self) -> int:
        return self._records.count

    def entries(self, watch: Watch | None = None) -> Iterator[Entry]:
        subset = self._subsets(self._selection.splits, watch) if self._selection.splits else None
        for line in self._records.lines(self._selection.filters):
            asset = json.loads(line.body)["asset"] if self._pictures else None
            part = subset(line.row) if subset else None
            yield Entry(line.row, asset, line.finish(part))

    def _subsets(self, splits: Splits, watch: Watch | None) -> Callable[[int], str]:
        """The part of each row, known after one pass over all; 32 bytes an item."""
        rows, contents, groups, strata, held = array("q"), array("Q"), array("Q"), array("q"), array("b")
        order = {label.key: n for n, label in enumerate(self._records.schema.active_classes())}
        for n, line in enumerate(self._records.lines(self._selection.filters)):
            record = json.loads(line.body)
            group = record["meta"].get(splits.group) if splits.group else None
            rows.append(line.row)
            contents.append(fingerprint(record["content_hash"]))
            groups.append(fingerprint(json.dumps(group, sort_keys=True)) if group not in (None, "") else 0)
            strata.append(_stratum(line.classes, order))
            held.append(line.split == "test")
            if watch and n % 1000 == 0:
                watch(0)
        parts = assign(
            splits,
            contents=np.array(contents, dtype=np.uint64),
            groups=np.array(groups, dtype=np.uint64),
            strata=np.array(strata, dtype=np.int64),
            held_out=np.array(held, dtype=bool),
        )
        index = np.array(rows, dtype=np.int64)
        return lambda row: PARTS[int(parts[np.searchsorted(index, row)])]


class FrozenDataset:
    """A snapshot; its own selection is in it already, `filters` may leave less of it."""

    divided: bool

    def __init__(self, snapshot: Snapshot, filters: Filters) -> None:
        if not snapshot.ready:
            raise Conflict("This snapshot is not complete.", code="snapshot_not_ready")
        self._path, self._filters = snapshot.path, filters
        self._digest = snapshot.digest
        self.count = int(snapshot.counts.get("items", 0))
        self.divided = bool(snapshot.selection.get("splits"))
        with _whole(), _packed(self._path) as file:
            self.header: dict[str, Any] = json.loads(file.readline())

    def entries(self, watch: Watch | None = None) -> Iterator[Entry]:
        everything = self._filters == Filters()
        pictures = self.header["project"]["modality"] == Project.Modality.IMAGE
        digest = sha256()
        with _whole(), _packed(self._path) as file:
            file.readline()
            for row, line in enumerate(file):
                digest.update(line)
                if everything and not pictures:
                    yield Entry(row, None, line)
                    continue
                item = ExportItem.from_line(line)
                last = max((vote.created_at for vote in item.answers), default="")
                if self._filters.accept(
                    split=item.split, classes=item.consensus, agreement=item.agreement, last=last
                ):
                    yield Entry(item.row, item.asset, line)
        if digest.hexdigest() != self._digest:
            raise Conflict(DAMAGED, code="snapshot_damaged", hint=RESTORE_FILE)


@contextmanager
def _whole() -> Iterator[None]:
    """What a damaged file raises, in words."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise Conflict(DAMAGED, code="snapshot_damaged", hint=RESTORE_FILE) from error


def _packed(path: Path) -> gzip.GzipFile:
    try:
        return gzip.GzipFile(path, "rb")
    except FileNotFoundError:
        raise Conflict("The file of this snapshot is missing on the server.", code="snapshot_gone") from None


def open_dataset(*, project: Project, snapshot: Snapshot | None, selection: Selection) -> Dataset:
    """The snapshot's records if there is one, else the project's as of now."""
    if snapshot is not None:
        if selection.splits is not None:
            raise Conflict("A snapshot has its splits already.", code="snapshot_splits")
        return FrozenDataset(snapshot, selection.filters)
    return LiveDataset(project, selection)


def context_of(dataset: Dataset, project_id: int, *, formula_guard: bool = True) -> Context:
    """What a writer is told: all of it from the header, so that a snapshot's export never changes."""
    header = dataset.header
    about = header["project"]
    active = [each for each in header["schemas"][-1]["classes"] if each["active"]]
    names = [each["name"] for each in active]
    labels = [
        Label(
            key=each["key"],
            name=each["name"] if names.count(each["name"]) == 1 else each["key"],
            colour=each["colour"],
            description=each["description"],
        )
        for each in active
    ]
    return Context(
        project_id=project_id,
        name=about["name"],
        description=about["description"],
        modality=about["modality"],
        task=about["task"],
        labels=labels,
        header=header,
        divided=dataset.divided,
        formula_guard=formula_guard,
    )


def _stratum(classes: list[str] | None, order: dict[str, int]) -> int:
    """Single classes by their place; sets of classes by a number of their own, beyond those."""
    if classes is None:
        return -1
    if len(classes) == 1:
        return order.get(classes[0], -1)
    return len(order) + fingerprint("|".join(classes)) % 2**40
