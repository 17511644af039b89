"""Snapshots: the same today and next year."""

from __future__ import annotations

import errno
import gzip
from typing import Any

import pytest
from django.utils import timezone

from annotator.common.errors import Conflict, Invalid
from annotator.projects.models import Project
from annotator.transfer.dataset import open_dataset
from annotator.transfer.models import Snapshot
from annotator.transfer.selection import Filters, Selection, Splits
from annotator.transfer.snapshots import create_snapshot, delete_snapshot, run_snapshot
from tests.factories import join
from tests.transfer.projects import answer, data_of, export, freeze, rich_text_project, unpacked

pytestmark = pytest.mark.django_db
HALVES = Selection(splits=Splits(train=0.5, validation=0.25, test=0.25, seed=3))


@pytest.fixture
def project() -> Project:
    return rich_text_project()


def test_exports_of_a_snapshot_give_the_same_bytes_whatever_happened_since(project: Project) -> None:
    snapshot = freeze(project, selection=HALVES)
    assert snapshot.ready
    before = {key: data_of(export(project, key, snapshot=snapshot)).read_bytes() for key in ("native", "csv")}
    person = join(project)
    for item in project.items.all():
        answer(item, person, "cat")
    project.items.filter(row__gt=6).delete()
    project.items.update(meta={}, archived_at=timezone.now())
    Project.objects.filter(pk=project.pk).update(name="Renamed")
    for key, data in before.items():
        assert data_of(export(project, key, snapshot=snapshot)).read_bytes() == data


def test_a_snapshot_says_what_it_holds(project: Project) -> None:
    snapshot = freeze(project, selection=HALVES, note="for the paper")
    direct = export(project, "native", selection=HALVES)
    assert snapshot.digest == direct.digest
    assert snapshot.counts["items"] == 12
    assert sum(snapshot.counts[part] for part in ("train", "validation", "test")) == 12
    assert 0 < snapshot.counts["labelled"] < 12
    assert snapshot.size == snapshot.path.stat().st_size


def test_filters_leave_less_of_a_snapshot(project: Project) -> None:
    snapshot = freeze(project)
    agreed = export(
        project, "native", snapshot=snapshot, selection=Selection(filters=Filters(confirmed_only=True))
    )
    direct = export(project, "native", selection=Selection(filters=Filters(confirmed_only=True)))
    assert agreed.digest == direct.digest
    assert agreed.manifest["snapshot"] == "v1"


def test_a_snapshot_is_never_written_twice(project: Project) -> None:
    snapshot = freeze(project)
    data = snapshot.path.read_bytes()
    answer(project.items.get(row=10), join(project), "cat")
    assert run_snapshot(snapshot_id=snapshot.pk, run=None) == snapshot.counts  # type: ignore[arg-type]
    assert snapshot.path.read_bytes() == data


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize(
    "damage", ["a record", "the last record", "packed bytes", "the header", "cut", "no archive"]
)
def test_a_snapshot_that_is_not_what_was_frozen_is_not_exported(
    project: Project, damage: str, *, filtered: bool
) -> None:
    snapshot = freeze(project)
    packed = snapshot.path.read_bytes()
    lines = gzip.decompress(packed).splitlines(keepends=True)
    changed = {
        "a record": gzip.compress(b"".join(lines).replace(b'"text":"plain"', b'"text":"other"')),
        "the last record": gzip.compress(b"".join(lines[:-1])),
        "packed bytes": packed[:40] + bytes(255 - byte for byte in packed[40:80]) + packed[80:],
        "the header": gzip.compress(b"{" + b"".join(lines)),
        "cut": packed[: len(packed) // 2],
        "no archive": b"nothing of the kind",
    }
    snapshot.path.write_bytes(changed[damage])
    selection = Selection(filters=Filters(confirmed_only=True)) if filtered else Selection()
    with pytest.raises(Conflict, match="changed or damaged"):
        for _ in open_dataset(project=project, snapshot=snapshot, selection=selection).entries():
            pass


def test_names_are_taken_once_and_needed(project: Project) -> None:
    freeze(project, "v1")
    with pytest.raises(Conflict, match="already"):
        create_snapshot(project=project, name=" v1 ", selection=Selection(), user=None)
    for name in ("", "  ", "x" * 101):
        with pytest.raises(Invalid):
            create_snapshot(project=project, name=name, selection=Selection(), user=None)


def test_splits_of_a_snapshot_cannot_be_drawn_again(project: Project) -> None:
    snapshot = freeze(project)
    with pytest.raises(Invalid, match="splits already"):
        export(project, "native", snapshot=snapshot, selection=HALVES)


def test_an_unfinished_snapshot_cannot_be_exported(project: Project) -> None:
    waiting = create_snapshot(project=project, name="v1", selection=Selection(), user=None)
    with pytest.raises(Conflict, match="not complete"):
        export(project, "native", snapshot=waiting)
    with pytest.raises(Conflict, match="being made"):
        delete_snapshot(snapshot=waiting, confirmation="v1")


def test_deleting_needs_its_name(project: Project, django_capture_on_commit_callbacks: Any) -> None:
    snapshot = freeze(project)
    made = export(project, "native", snapshot=snapshot)
    with pytest.raises(Invalid):
        delete_snapshot(snapshot=snapshot, confirmation="v2")
    assert snapshot.path.exists()
    path = snapshot.path
    with django_capture_on_commit_callbacks(execute=True):
        delete_snapshot(snapshot=snapshot, confirmation="v1")
    assert not path.exists()
    assert not Snapshot.objects.exists()
    assert unpacked(made)["records.jsonl"]  # what was made from it stays


def test_a_full_disk_leaves_no_half_snapshot(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.transfer import snapshots

    def full(_: Any) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshots, "json_line", full)
    snapshot = freeze(project)
    assert snapshot.job is not None
    assert "disk of the server is full" in snapshot.job.error
    assert not snapshot.ready
    assert not any(path.is_file() for path in snapshot.folder.rglob("*"))


@pytest.mark.parametrize("damage", ["changed", "cut"])
def test_a_file_that_is_not_what_was_frozen_is_not_exported(project: Project, damage: str) -> None:
    frozen = freeze(project)
    lines = gzip.decompress(frozen.path.read_bytes())
    spoilt = gzip.compress(lines.replace(b"cat", b"dog"))
    frozen.path.write_bytes(spoilt if damage == "changed" else frozen.path.read_bytes()[:-20])
    made = export(project, "native", snapshot=frozen)
    assert made.job is not None
    assert made.job.state == "failed"
    assert "changed or damaged" in made.job.error
    assert not made.files
