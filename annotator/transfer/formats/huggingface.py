"""Data sets of Hugging Face: Parquet files for texts, a folder of images with metadata.jsonl; a dataset card with both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotator.transfer.formats import archive, parquet_reader
from annotator.transfer.formats.base import (
    IMAGE,
    PREVIEW_ROWS,
    TEXT,
    Format,
    FormatError,
    Layout,
    Options,
    Row,
    RowError,
    Source,
)
from annotator.transfer.formats.parquet import TOO_LONG
from annotator.transfer.formats.parts import json_line, picture_name, text_row
from annotator.transfer.output import Context, HashedFile, Target
from annotator.transfer.records import ExportItem

ROWS = 2_000
MAX_FOOTER = 8 * 2**20
MAX_CARD = 2**20
UNLABELLED = -1
METADATA = "metadata.jsonl"
HOLDS = frozenset({"unlabelled", "agreement", "ids", "splits"})
PARTS = ("train", "validation", "test")


def write_parquet(items: Iterable[ExportItem], target: Target) -> None:
    """data/<split>-00000-of-00001.parquet for each split that has items, and the card."""
    schema = _arrow_schema(target.context)
    index = {label.key: n for n, label in enumerate(target.context.labels)}
    writers: dict[str, _ParquetPart] = {}
    try:
        for item in items:
            if item.part not in writers:
                writers[item.part] = _ParquetPart(target.open(_data_file(item.part)), schema)
            writers[item.part].add(
                {
                    "id": item.external_id,
                    "text": item.text,
                    "label": _label(item, index, multi=target.context.multi),
                    "agreement": item.agreement,
                    "votes": len(item.answers),
                }
            )
        for writer in writers.values():
            writer.close()
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    counts = {part: writer.rows for part, writer in writers.items()}
    target.open("README.md").write(_card(target.context, counts, images=False).encode())


def write_folder(items: Iterable[ExportItem], target: Target) -> None:
    """<split>/<image> with <split>/metadata.jsonl beside the images, and the card."""
    index = {label.key: n for n, label in enumerate(target.context.labels)}
    names = target.context.names
    files: dict[str, HashedFile] = {}
    counts: Counter[str] = Counter()
    for item in items:
        assert item.asset is not None
        name = picture_name(item)
        if not target.asset(f"{item.part}/{name}", item.asset):
            continue
        if item.part not in files:
            files[item.part] = target.open(f"{item.part}/{METADATA}")
        record = {
            "file_name": name,
            "id": item.external_id,
            "label": _label(item, index, multi=target.context.multi),
            "label_names": [names.get(key, key) for key in item.consensus or ()],
            "agreement": item.agreement,
            "votes": len(item.answers),
        }
        files[item.part].write(json_line(record))
        counts[item.part] += 1
    target.open("README.md").write(_card(target.context, counts, images=True).encode())


class _ParquetPart:
    """One Parquet file, written in row groups."""

    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd")
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self.rows = 0

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self.rows += 1
        if len(self._rows) >= ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows or not self.rows:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Write no end of the file any more, not even when nobody holds the writer."""
        self._writer.is_open = False

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _label(item: ExportItem, index: dict[str, int], *, multi: bool) -> int | list[int]:
    known = [index[key] for key in item.consensus or () if key in index]
    return known if multi else next(iter(known), UNLABELLED)


def _arrow_schema(context: Context) -> pa.Schema:
    """Columns, with the features as `datasets` reads them from the file itself."""
    label = pa.list_(pa.int64()) if context.multi else pa.int64()
    fields = [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("label", label),
        ("agreement", pa.float64()),
        ("votes", pa.int64()),
    ]
    names: dict[str, Any] = {"names": [label.name for label in context.labels], "_type": "ClassLabel"}
    features: dict[str, Any] = {
        "id": {"dtype": "string", "_type": "Value"},
        "text": {"dtype": "large_string", "_type": "Value"},
        "label": {"feature": names, "_type": "List"} if context.multi else names,
        "agreement": {"dtype": "float64", "_type": "Value"},
        "votes": {"dtype": "int64", "_type": "Value"},
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _data_file(part: str) -> str:
    return f"data/{part}-00000-of-00001.parquet"


def _card(context: Context, counts: Counter[str] | dict[str, int], *, images: bool) -> str:
    """README.md: YAML for programs (strings are written as JSON, which YAML understands), words for people."""
    names = "\n".join(f"          '{n}': {json.dumps(label.name)}" for n, label in enumerate(context.labels))
    kind = "image" if images else "text"
    classes = f"class_label:\n        names:\n{names}" if names else "dtype: int64"
    if context.multi:
        classes = "sequence:\n        " + classes.replace("\n", "\n  ")
    features = [
        "  - name: id\n    dtype: string",
        f"  - name: {kind}\n    dtype: {'image' if images else 'large_string'}",
        "  - name: label\n    " + (classes if context.multi else f"dtype:\n      {classes}"),
        *(["  - name: label_names\n    sequence: string"] if images else []),
        "  - name: agreement\n    dtype: float64",
        "  - name: votes\n    dtype: int64",
    ]
    splits = [f"  - name: {part}\n    num_examples: {counts[part]}" for part in PARTS if counts.get(part)]
    files = [
        f"  - split: {part}\n    path: {f'{part}/**' if images else _data_file(part)}"
        for part in PARTS
        if counts.get(part)
    ]
    unlabelled = (
        "An empty list where nobody agreed or no class was chosen; `votes` tells them apart."
        if context.multi
        else "-1 where nobody has answered yet or the answers do not agree."
    )
    table = "\n".join(
        f"| {n} | {label.name} | `{label.key}` | {' '.join(label.description.split())} |".replace("||", "| |")
        for n, label in enumerate(context.labels)
    )
    return "\n".join(
        [
            "---",
            f"pretty_name: {json.dumps(context.name)}",
            "task_categories:",
            f"- {kind}-classification",
            "dataset_info:",
            "  features:",
            *features,
            "  splits:" if splits else "  splits: []",
            *splits,
            "configs:",
            "- config_name: default",
            "  data_files:" if files else "  data_files: []",
            *files,
            "---",
            f"# {context.name}",
            "",
            context.description,
            "",
            "## Classes",
            "",
            "| number | name | key | description |",
            "|---|---|---|---|",
            table,
            "",
            f"`label` is the answer of the majority of the annotators. {unlabelled} `agreement` is the share of the votes "
            "that say so.",
            "",
        ]
    )


def recognises_parquet(source: Source) -> bool:
    """By the footer alone, where it is no longer than one can be."""
    try:
        with source.path.open("rb") as file:
            file.seek(max(source.size - 8, 0))
            if int.from_bytes(file.read(4), "little") > MAX_FOOTER:
                return False
        return b"huggingface" in (pq.read_schema(source.path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def inspect_parquet(source: Source, given: Options | None) -> Layout:
    rows = read_parquet(source, given or Options())
    found = [row for _, row in zip(range(PREVIEW_ROWS), rows, strict=False) if isinstance(row, Row)]
    if not found:
        raise FormatError("There is no row that can be read.")
    return Layout(
        options=given or Options(),
        columns=["id", "text", "labels"],
        rows=[[row.external_id, row.text or "", ", ".join(row.labels)] for row in found],
    )


def read_parquet(source: Source, options: Options) -> Iterator[Row | RowError]:
    """Rows of one file; its name tells the split, as in train-00000-of-00001.parquet."""
    split = next((part for part in PARTS if PurePosixPath(source.name).name.startswith(part)), "")
    with parquet_reader.opened(source) as table:
        names = _class_names(table.huggingface)
        if "text" not in table.names:
            raise FormatError("There is no column “text”.")
        columns = [name for name in ("id", "text", "label", "labels") if name in table.names]
        size = source.size
        for number, values in table.records(columns):
            source.position = min(size, size * number // max(table.rows, 1))
            if values is None:
                yield RowError(line=number, reason=TOO_LONG)
            else:
                yield _parquet_row(number, dict(zip(columns, values, strict=True)), names, split)


def _parquet_row(number: int, value: dict[str, Any], names: list[str], split: str) -> Row | RowError:
    label = value.get("label", value.get("labels"))
    chosen = label if isinstance(label, list) else [] if label in (None, UNLABELLED) else [label]
    labels = []
    for each in chosen:
        if isinstance(each, int) and 0 <= each < len(names):
            labels.append(names[each])
        elif isinstance(each, str):
            labels.append(each)
        else:
            return RowError(line=number, reason=f"The label {each!r} has no name in the file.")
    name = value.get("id")
    return text_row(
        number,
        text=value.get("text"),
        labels=tuple(dict.fromkeys(labels)),
        external_id="" if name is None else str(name),
        split=split,
    )


def _class_names(noted: str) -> list[str]:
    """Names of the classes as the file's own features have them."""
    try:
        features = json.loads(noted)["info"]["features"]
        label = features.get("label") or features.get("labels") or {}
        label = label if "names" in label else label.get("feature", {})
        return [str(name) for name in label.get("names", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def recognises_folder(source: Source) -> bool:
    if not archive.is_archive(source):
        return False
    with archive.opened(source) as file:
        return any(PurePosixPath(name).name == METADATA for name in file.namelist())


def inspect_folder(source: Source, given: Options | None) -> Layout:
    layout = archive.inspect(source, given)
    return Layout(
        options=given or Options(),
        columns=["file"],
        rows=[[row[0]] for row in layout.rows],
        entries=layout.entries,
        notes=["metadata.jsonl beside the images gives their ids and labels."],
    )


def read_folder(source: Source, options: Options) -> Iterator[Row | RowError]:
    known = _metadata(source)
    for row in archive.read(source, Options()):
        name = row.external_id if isinstance(row, Row) else row.excerpt
        if PurePosixPath(name).suffix.lower() in {".jsonl", ".md", ".sha256", ".json", ".txt"}:
            continue
        if isinstance(row, RowError):
            yield row
            continue
        values = known.get(name, {})
        found = values.get("label_names", values.get("label"))
        listed = found if isinstance(found, list) else [found]
        given = values.get("id")
        yield Row(
            line=row.line,
            external_id=str(given) if isinstance(given, str | int) and given != "" else name,
            payload=row.payload,
            labels=tuple(each for each in listed if isinstance(each, str)),
            split=PurePosixPath(name).parts[0] if PurePosixPath(name).parts[0] in PARTS else "",
        )


def _objects(lines: IO[bytes]) -> Iterator[Any]:
    """What each line says, blank ones left out."""
    while True:
        with archive.unpacking():
            line = lines.readline(MAX_CARD)
        if not line:
            return
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FormatError(f"A line of {METADATA} is no JSON: {error}.") from error


def _metadata(source: Source) -> dict[str, dict[str, Any]]:
    """What metadata.jsonl says, by the image's path in the archive; a few hundred bytes for each image."""
    known: dict[str, dict[str, Any]] = {}
    with archive.opened(source) as file:
        for info in file.infolist():
            name = info.filename
            if PurePosixPath(name).name != METADATA:
                continue
            with archive.entry(file, info) as lines:
                for values in _objects(lines):
                    if isinstance(values, dict) and isinstance(values.get("file_name"), str):
                        path = PurePosixPath(name).parent / values.pop("file_name")
                        known[archive.safe_name(str(path))] = values
    return known


PARQUET = Format(
    key="huggingface",
    title="Hugging Face Parquet",
    modalities=TEXT,
    extensions=(".parquet",),
    inspect=inspect_parquet,
    read=read_parquet,
    recognises=recognises_parquet,
    write=write_parquet,
    holds=HOLDS,
    about="One Parquet file a split with a dataset card; ClassLabel in the classes' order, -1 for unlabelled.",
)
FOLDER = Format(
    key="imagefolder",
    title="Hugging Face image folder",
    modalities=IMAGE,
    extensions=(".zip",),
    inspect=inspect_folder,
    read=read_folder,
    recognises=recognises_folder,
    write=write_folder,
    holds=HOLDS,
    about="Images in one folder a split, labels in metadata.jsonl, with a dataset card.",
)
