"""Every format that can be written, through its contract: what it wrote it recognises and reads, and it says what it lost."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from annotator.common.errors import Invalid
from annotator.items.models import ImportedLabel, ImportedPrediction, Item
from annotator.labeling.models import Annotation
from annotator.projects.models import Project
from annotator.transfer.dataset import LiveDataset, context_of
from annotator.transfer.exports import create_export, preview_losses
from annotator.transfer.formats import (
    FORMATS,
    Format,
    Options,
    Row,
    RowError,
    Source,
    export_formats,
    recognised,
)
from annotator.transfer.forms import MappingForm
from annotator.transfer.losses import CHANGES, PARTS, Losses, lacks
from annotator.transfer.models import Export
from annotator.transfer.output import DryTarget
from annotator.transfer.records import ExportItem
from annotator.transfer.selection import Selection, Splits
from tests.factories import make_project
from tests.transfer.makers import run, upload
from tests.transfer.projects import (
    TEXTS,
    data_of,
    export,
    rich_image_project,
    rich_text_project,
    unpacked,
)

pytestmark = pytest.mark.django_db
MAKERS = {
    ("text", "single"): rich_text_project,
    ("text", "multi"): partial(rich_text_project, task="multi"),
    ("image", "single"): rich_image_project,
}
CASES = [
    pytest.param(kind, make, id=f"{kind.key}-{modality}-{task}")
    for (modality, task), make in MAKERS.items()
    for kind in export_formats(modality=modality, task=task)
]
READ = [
    pytest.param(kind, make, id=f"{kind.key}-{modality}-{task}")
    for (modality, task), make in MAKERS.items()
    for kind in export_formats(modality=modality, task=task)
    if modality in kind.modalities
]
every_format = pytest.mark.parametrize(("kind", "make"), CASES)
every_format_that_reads = pytest.mark.parametrize(("kind", "make"), READ)
# What reading may add to a text, or take off: those formats say so.
ALTERED = {"fasttext", "csv"}


def records(project: Project) -> list[ExportItem]:
    dataset = LiveDataset(project, Selection())
    return [ExportItem.from_line(entry.line) for entry in dataset.entries()]


def written(kind: Format, project: Project) -> list[ExportItem]:
    """The records that the format takes."""
    return list(Losses(kind.holds).pass_on(records(project)))


def sources(made: Export, folder: Path) -> list[Source]:
    """Files that the format itself reads: the archive where it takes archives, else those in it."""
    kind = FORMATS[made.format]
    path = data_of(made)
    if ".zip" in kind.extensions:
        return [Source(path, path.name)]
    found = []
    for n, (name, data) in enumerate(unpacked(made).items()):
        if name.endswith(kind.extensions) and name not in ("loss.txt", "manifest.json"):
            (folder / str(n)).write_bytes(data)
            found.append(Source(folder / str(n), Path(name).name))
    return found


def read_back(made: Export, folder: Path) -> list[Row]:
    kind, rows = FORMATS[made.format], []
    for source in sources(made, folder):
        options = kind.inspect(source, None).options
        if kind.key == "csv":
            options = replace(options, label_separator="|")
        for row in kind.read(source, options):
            if isinstance(row, RowError):
                # An archive of ours holds papers beside the pictures, which an import reports.
                assert kind.key == "zip", row
                assert row.excerpt in ("manifest.json", "loss.txt", "checksums.sha256")
            elif kind.key != "zip" or row.external_id.endswith(".png"):
                rows.append(row)
    return rows


@every_format_that_reads
def test_it_recognises_what_it_wrote_among_all_others(kind, make, tmp_path):
    project = make()
    found = sources(export(project, kind.key), tmp_path)
    assert found
    assert {recognised([source], project.modality).key for source in found} == {kind.key}


@every_format_that_reads
def test_it_reads_every_item_it_wrote_with_text_and_label_unchanged(kind, make, tmp_path):
    project = make()
    expected = written(kind, project)
    names = {label.key: label.name for label in project.schema.active_classes()}
    rows = read_back(export(project, kind.key), tmp_path)
    assert len(rows) == len(expected) > 2
    if kind.key == "zip":
        by_class = sorted(item.consensus[0] for item in expected if item.consensus)
        assert sorted(row.labels[0] for row in rows if row.labels) == by_class
        return
    for row, item in zip(in_order(rows), in_order(expected), strict=True):
        if kind.key not in ALTERED:
            assert row.text == item.text
        if item.asset is not None:
            assert row.payload is not None
            assert sha256(row.payload).hexdigest() == item.asset["digest"]
        if "ids" in kind.holds:
            assert row.external_id == item.external_id
        if "votes" not in kind.holds and item.consensus is not None:
            assert set(row.labels) in (set(item.consensus), {names[key] for key in item.consensus})


def in_order(rows):
    """By id where there are ids; a format that writes one file a split has another order than the rows."""
    return (
        sorted(rows, key=lambda row: (row.external_id == "", row.external_id))
        if all(row.external_id for row in rows)
        else rows
    )


@every_format
def test_the_manifest_tells_the_truth(kind, make):
    project = make()
    made = export(project, kind.key)
    files = unpacked(made)
    manifest = json.loads(files["manifest.json"])
    assert manifest == made.manifest
    assert manifest["format"] == kind.key
    assert manifest["counts"]["items"] == len(written(kind, project))
    assert {part["name"] for part in manifest["files"]} <= set(files)
    for part in manifest["files"]:
        assert part["sha256"] == sha256(files[part["name"]]).hexdigest()
        assert part["size"] == len(files[part["name"]])
    if sums := manifest["file_checksums"]:
        lines = [line.split("  ", 1) for line in files[sums].decode().splitlines()]
        assert lines
        assert all(sha256(files[name]).hexdigest() == digest for digest, name in lines)
    assert made.file is not None
    assert made.file["sha256"] == sha256(data_of(made).read_bytes()).hexdigest()
    lines = [entry.line for entry in LiveDataset(project, Selection()).entries()]
    assert manifest["digest"] == made.digest == sha256(b"".join(lines)).hexdigest()


@every_format
def test_what_is_lost_is_counted_and_said_before_and_after(kind, make):
    project = make()
    made = export(project, kind.key)
    before = preview_losses(project=project, kind=kind)
    assert before is not None
    assert [loss.to_json() for loss in before] == made.losses
    said = unpacked(made)["loss.txt"].decode().splitlines()
    assert said == ([loss["words"] for loss in made.losses] or ["Nothing was lost or changed."])
    assert all(loss["count"] > 0 and loss["words"].endswith(".") for loss in made.losses)
    counted = {loss["key"]: loss["count"] for loss in made.losses}
    everything = records(project)
    dropped = len(everything) - len(written(kind, project))
    assert counted.get("archived", 0) + counted.get("unlabelled", 0) == dropped
    taken = written(kind, project)
    if "votes" not in kind.holds:
        assert counted["votes"] == sum(len(item.answers) for item in taken)
    if "seconds" not in kind.holds:
        assert counted["seconds"] == sum(v.seconds is not None for item in taken for v in item.answers)
    for key in kind.holds & PARTS.keys() - {"predictions"}:
        assert key not in counted


@every_format
def test_the_same_records_give_the_same_bytes(kind, make):
    """Two exports differ by their moment only, which the native header and the manifests tell."""
    project = make()
    first, second = unpacked(export(project, kind.key)), unpacked(export(project, kind.key))
    assert list(first) == list(second)
    moment = re.compile(rb'"moment": ?"[^"]*"|As it was at .*')
    for name, data in first.items():
        if name != "manifest.json":
            assert moment.sub(b"", data) == moment.sub(b"", second[name]), name


@every_format
def test_divided_items_lie_in_their_splits(kind, make):
    project = make()
    half = Selection(splits=Splits(train=0.5, validation=0.25, test=0.25))
    made = export(project, kind.key, selection=half)
    assert made.job.state == "succeeded", made.job.error
    taken = {item.row for item in written(kind, project)}
    parts = [
        item.subset
        for item in (ExportItem.from_line(e.line) for e in LiveDataset(project, half).entries())
        if item.row in taken
    ]
    assert None not in parts
    if kind.key != "native":
        counts = made.manifest["counts"]
        assert {part: counts.get(part, 0) for part in set(parts)} == {p: parts.count(p) for p in set(parts)}


@pytest.mark.parametrize(
    "key", [kind.key for kind in export_formats(modality="text", task="single") if kind.key != "native"]
)
def test_what_comes_back_is_never_a_confirmed_answer(key, tmp_path):
    project = rich_text_project()
    made = export(project, key)
    fresh = make_project(classes=("cat", "dog"))
    for source in sources(made, tmp_path):
        _, job = run(fresh, upload(source.name, source.path.read_bytes()))
        assert job.state == "succeeded", job.error
    assert not Annotation.objects.filter(project=fresh).exists()
    assert Item.objects.filter(project=fresh).count() == len(written(FORMATS[key], project))
    assert ImportedLabel.objects.filter(item__project=fresh).exists()
    if "predictions" in FORMATS[key].holds:
        [prediction] = ImportedPrediction.objects.filter(item__project=fresh)
        assert prediction.source == "gpt"
        assert prediction.classes["Cat"] == 0.9


@pytest.mark.parametrize("key", ["csv", "doccano", "argilla", "labelstudio", "native", "fasttext"])
def test_formats_of_one_file_can_be_had_plain(key):
    made = export(rich_text_project(), key, plain=True)
    names = [each["name"] for each in made.files]
    assert names[1:] == ["manifest.json", "loss.txt"]
    [part] = made.manifest["files"]
    assert part["sha256"] == made.files[0]["sha256"] == sha256(data_of(made).read_bytes()).hexdigest()
    assert sorted(path.name for path in (made.folder / "files").iterdir()) == sorted(names)


def test_formats_of_several_files_cannot(db):
    project = rich_text_project()
    with pytest.raises(Invalid, match="archive"):
        create_export(project=project, format_key="huggingface", user=None, plain=True)


def test_line_breaks_and_words_like_labels_are_told_of_in_fasttext(db):
    made = export(rich_text_project(), "fasttext")
    words = [loss["words"] for loss in made.losses]
    assert (
        "2 texts had line breaks, replaced by spaces." in words
        or "1 text had line breaks, replaced by spaces." in words
    )
    assert any("reads as a label" in each for each in words)
    lines = unpacked(made)["fasttext.txt"].decode().split("\n")
    assert all(line.startswith("__label__") for line in lines[:-1])
    assert all(line.count("__label__") == 1 for line in lines[:-1])


def test_cells_like_formulas_are_made_harmless_unless_it_is_turned_off(db):
    project = rich_text_project()
    safe = unpacked(export(project, "csv"))["items.csv"].decode()
    assert "'=SUM(A1:A9)" in safe
    made = export(project, "csv", formula_guard=False)
    assert "'=SUM" not in unpacked(made)["items.csv"].decode()
    assert "formulas" not in {loss["key"] for loss in made.losses}


def test_class_labels_of_hugging_face_follow_the_order_of_the_classes(db, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    project = rich_text_project()
    files = unpacked(export(project, "huggingface"))
    (tmp_path / "train").write_bytes(files["data/train-00000-of-00001.parquet"])
    table = pq.read_table(tmp_path / "train")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["Cat", "Dog", "Bird & bee"], "_type": "ClassLabel"}
    labels = table.column("label").to_pylist()
    assert None not in labels
    assert -1 in labels
    assert {0, 1} <= set(labels)
    card = files["README.md"].decode()
    assert "'2': \"Bird & bee\"" in card
    assert f"num_examples: {len(labels)}" in card


@pytest.mark.parametrize("key", ["csv", "labelstudio"])
def test_images_lie_beside_the_table_or_tasks_that_name_them(key):
    project = rich_image_project()
    files = unpacked(export(project, key))
    taken = written(FORMATS[key], project)
    if key == "csv":
        rows = list(csv.DictReader(files["items.csv"].decode().splitlines()))
        named = {row["external_id"]: row["file"] for row in rows}
        assert all(int(row["width"]) > 0 and int(row["height"]) > 0 for row in rows)
    else:
        tasks = json.loads(files["tasks.json"])
        start = "/data/local-files/?d="
        named = {
            each["data"]["external_id"]: each["data"]["image"].removeprefix(start)
            for each in tasks
            if each["data"]["image"].startswith(start)
        }
        assert {a["result"][0]["to_name"] for t in tasks for a in t["annotations"] if a["result"]} == {
            "image"
        }
        assert '<Image name="image" value="$image"/>' in files["label_config.xml"].decode()
    assert set(named) == {item.external_id for item in taken}
    for item in taken:
        assert item.asset is not None
        assert sha256(files[named[item.external_id]]).hexdigest() == item.asset["digest"]


def test_label_studio_gets_a_configuration_with_every_class(db):
    files = unpacked(export(rich_text_project(), "labelstudio"))
    assert '<Choice value="Bird &amp; bee"/>' in files["label_config.xml"].decode()
    tasks = json.loads(files["tasks.json"])
    assert [task["id"] for task in tasks] == sorted(task["id"] for task in tasks)
    cancelled = [a for task in tasks for a in task["annotations"] if a["was_cancelled"]]
    assert len(cancelled) == 1


@pytest.mark.parametrize("key", sorted(FORMATS))
def test_a_format_is_described_completely(key):
    kind = FORMATS[key]
    assert kind.key == key
    assert kind.modalities <= {"text", "image"}
    assert kind.holds <= PARTS.keys()
    assert not set(lacks(kind.holds)) & {PARTS[name][0] for name in kind.holds}
    assert (kind.write is None) == (kind.about == "")


def test_losses_have_words_for_one_and_for_many():
    for key in {**PARTS, **CHANGES}:
        losses = Losses(())
        losses.add(key)
        [one] = losses.report()
        losses.add(key, 1999)
        [many] = losses.report()
        assert re.search(r"\b1\b", one.words), key
        assert "2,000" in many.words, key
    with pytest.raises(KeyError):
        Losses(()).add("unheard-of")


def test_a_dry_run_writes_nothing(db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = rich_text_project()
    dataset = LiveDataset(project, Selection())
    for kind in export_formats(modality="text", task="single"):
        losses = Losses(kind.holds)
        assert kind.write is not None
        kind.write(iter(records(project)), DryTarget(context_of(dataset, project.pk), losses))
    assert list(tmp_path.iterdir()) == []
    assert all(a.row < b.row for a, b in pairwise(records(project)))
    assert len(records(project)) == len(TEXTS)


def test_what_people_are_asked_about_a_file_are_options_that_there_are() -> None:
    for kind in FORMATS.values():
        assert kind.asks <= set(Options().to_json()) & set(MappingForm.base_fields)
    assert [key for key, kind in FORMATS.items() if kind.restores] == ["native"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_no_format_of_json_lines_takes_what_is_no_json(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": 1, "text": "a", "fields": {{"text": "a"}}, "label": ["x"], "n": {value}}}\n')
    for key in ("jsonl", "doccano", "argilla"):
        (row,) = FORMATS[key].read(Source(path, "a.jsonl"), Options(text="text"))
        assert isinstance(row, RowError)
        assert "is no JSON number" in row.reason
