"""Where exports are written: files that are hashed as they grow, packed into one archive that is the same each time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from annotator.common.errors import AnnotatorError
from annotator.items import files
from annotator.items.models import Asset
from annotator.transfer.losses import Losses

DATE = (1980, 1, 1, 0, 0, 0)  # the oldest a zip can hold: the same records give the same archive
LEVEL = 1
PIECE = 2**20
CHECKSUMS = "checksums.sha256"


@dataclass(frozen=True, kw_only=True)
class Label:
    """A class that can be chosen. `name` is its key where two classes have the same name."""

    key: str
    name: str
    colour: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a writer needs to know beside the records. `header` is that of records.Records.

    `divided`: whether the export divides its items into train, validation and test.
    """

    project_id: int
    name: str
    description: str
    modality: str
    task: str
    labels: Sequence[Label]
    header: Mapping[str, Any]
    divided: bool = False
    formula_guard: bool = True

    @property
    def multi(self) -> bool:
        return self.task == "multi"

    @property
    def names(self) -> dict[str, str]:
        return {label.key: label.name for label in self.labels}


class HashedFile(io.RawIOBase):
    """A file to write that knows its size and SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            super().close()

    def digest(self) -> str:
        return self._hash.hexdigest()


class Target:
    """A place for one export. Give `packed` the archive's path to have one; else files lie in `folder` as they are.

    Data files are written side by side and packed at the end; pictures go into the archive at once.
    """

    def __init__(
        self, folder: Path, context: Context, losses: Losses, *, archive: Path | None = None
    ) -> None:
        self.context, self.losses = context, losses
        self._folder = folder
        self._files: dict[str, HashedFile] = {}
        self._sums: HashedFile | None = None
        self._assets = 0
        self._archive = zipfile.ZipFile(archive, "w", allowZip64=True) if archive else None

    def open(self, name: str) -> HashedFile:
        """A new data file; names are the format's own, with / between folders."""
        path = self._folder / f"part{len(self._files):04}"
        self._files[name] = file = HashedFile(path.open("wb", buffering=PIECE))
        return file

    def asset(self, name: str, asset: Mapping[str, Any]) -> bool:
        """Put a picture in as it was imported; False when its file is gone, which is counted."""
        path = self._path_of(asset["digest"])
        if path is None:
            self.losses.add("missing_files")
            return False
        if self._archive is not None:
            # Pictures are compressed already.
            with path.open("rb") as source, self._entry(name, stored=True) as entry:
                while piece := source.read(PIECE):
                    entry.write(piece)
        if self._sums is None:
            self._sums = self.open(CHECKSUMS)
        self._sums.write(f"{asset['digest']}  {name}\n".encode())
        self._assets += 1
        return True

    def _path_of(self, digest: str) -> Path | None:
        kept = files.asset_path(self.context.project_id, digest)
        if kept.exists():
            return kept
        known = Asset.objects.filter(project_id=self.context.project_id, digest=digest).first()
        try:
            return files.original(known) if known else None
        except (FileNotFoundError, AnnotatorError):
            return None

    def parts(self) -> list[dict[str, Any]]:
        """Data files with size and SHA-256; call when all are written. Those of the pictures stand in their own file."""
        for file in self._files.values():
            file.close()
        return [
            {"name": name, "size": file.size, "sha256": file.digest()} for name, file in self._files.items()
        ]

    @property
    def assets(self) -> int:
        return self._assets

    def finish(self, extra: Mapping[str, bytes]) -> None:
        """Pack the data files behind `extra` (the manifest and the like) and end the archive."""
        assert self._archive is not None
        for name, data in extra.items():
            with self._entry(name) as entry:
                entry.write(data)
        for n, (name, file) in enumerate(self._files.items()):
            file.close()
            path = self._folder / f"part{n:04}"
            with path.open("rb") as source, self._entry(name) as entry:
                while piece := source.read(PIECE):
                    entry.write(piece)
            path.unlink()
        self._archive.close()

    def take(self, name: str, path: Path) -> None:
        """Leave the one data file `name` at `path`, unpacked."""
        place = list(self._files).index(name)
        self._files[name].close()
        (self._folder / f"part{place:04}").replace(path)

    def abandon(self) -> None:
        """Close everything after an error; what was written is of no use."""
        closing = [file.close for file in self._files.values()]
        for close in [*closing, *([self._archive.close] if self._archive else [])]:
            # A disk that is full refuses what closing would still write.
            with suppress(OSError, ValueError):
                close()

    def _entry(self, name: str, *, stored: bool = False) -> IO[bytes]:
        assert self._archive is not None
        info = zipfile.ZipInfo(name, DATE)
        info.external_attr = 0o644 << 16
        info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        info._compresslevel = LEVEL  # type: ignore[attr-defined]
        return self._archive.open(info, "w", force_zip64=not stored)


class DryTarget(Target):
    """Writes nothing: for learning what an export would lose."""

    def __init__(self, context: Context, losses: Losses) -> None:
        super().__init__(Path(), context, losses)

    def open(self, name: str) -> HashedFile:
        return HashedFile(cast("IO[bytes]", Nowhere()))

    def asset(self, name: str, asset: Mapping[str, Any]) -> bool:
        project_id, digest = self.context.project_id, asset["digest"]
        elsewhere = Asset.objects.filter(project_id=project_id, digest=digest).exclude(location="")
        found = files.asset_path(project_id, digest).exists() or elsewhere.exists()
        if not found:
            self.losses.add("missing_files")
        return found


class Nowhere(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)
