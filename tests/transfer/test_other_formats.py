from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from annotator.modalities import image
from annotator.transfer.formats import (
    FormatError,
    Options,
    Row,
    RowError,
    Source,
    archive,
    format_of,
    jsonl,
    native,
    pictures,
    plain,
)
from tests.modalities.images import image_bytes


def source_of(tmp_path: Path, content: bytes | str, name: str = "file") -> Source:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path, name)


def zip_of(tmp_path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Source:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return source_of(tmp_path, out.getvalue(), "images.zip")


def names(rows: list[Row | RowError]) -> list[str]:
    return [row.external_id for row in rows if isinstance(row, Row)]


def reasons(rows: list[Row | RowError]) -> list[str]:
    return [row.reason for row in rows if isinstance(row, RowError)]


# JSON lines


def test_json_lines_are_mapped_like_tables(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        '{"id": 1, "text": "a\\nb", "labels": ["x", "y"], "n": {"k": [1]}}\n\n{"text": "c", "id": "2"}\n',
    )
    options = jsonl.inspect(source, None).options
    assert (options.text, options.external_id, options.label) == ("text", "id", "labels")
    rows = list(jsonl.read(source, Options(text="text", external_id="id", label="labels", keep_rest=True)))
    assert rows == [
        Row(line=1, external_id="1", text="a\nb", labels=("x", "y"), meta={"n": {"k": [1]}}),
        Row(line=3, external_id="2", text="c"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "Not JSON"),
        ("[1]", "Not a JSON object"),
        ('{"text": 5}', "not a text"),
        ('{"text": null}', "empty"),
        ('{"text": "a", "id": {}}', "“id” is empty"),
        ('{"text": "a", "id": 1, "label": {"a": 1}}', "neither a text nor a list"),
        ('{"text": "a", "id": 1, "label": [[1]]}', "neither a text nor a list"),
        ('{"text": "a", "id": 1, "x": NaN}', "no JSON number"),
        ("[" * 100_000, "Not JSON"),
    ],
)
def test_each_bad_line_is_one_error(tmp_path: Path, line: str, reason: str) -> None:
    source = source_of(tmp_path, f'{{"text": "ok", "id": 0}}\n{line}\n')
    rows = list(jsonl.read(source, Options(text="text", external_id="id", label="label")))
    assert names(rows) == ["0"]
    assert len(rows) == 2
    assert reason in reasons(rows)[0]
    assert rows[1].line == 2


def test_a_file_without_any_object_is_no_json_lines(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="JSON object"):
        jsonl.inspect(source_of(tmp_path, "hello\n"), None)


# Plain text


def test_each_line_with_text_is_an_item(tmp_path: Path) -> None:
    source = source_of(tmp_path, "\ufeffone\r\n\r\n  two  \n\nthree")
    rows = list(plain.read(source, plain.inspect(source, None).options))
    assert [(row.line, row.text) for row in rows if isinstance(row, Row)] == [
        (1, "one"),
        (3, "two"),
        (5, "three"),
    ]


# Zip archives and images


def test_images_of_an_archive_are_named_by_their_path(tmp_path: Path) -> None:
    source = zip_of(
        tmp_path,
        {"cat/1.png": image_bytes(), "dog/1.png": image_bytes(), "__MACOSX/x": b"", "cat/.DS_Store": b""},
    )
    layout = archive.inspect(source, None)
    assert (layout.entries, layout.folders, layout.options.folder_labels) == (2, ["cat (1)", "dog (1)"], True)
    rows = list(archive.read(source, layout.options))
    assert [(r.external_id, r.labels) for r in rows if isinstance(r, Row)] == [
        ("cat/1.png", ("cat",)),
        ("dog/1.png", ("dog",)),
    ]


def test_folders_are_classes_only_when_asked(tmp_path: Path) -> None:
    source = zip_of(tmp_path, {"cat/1.png": image_bytes()})
    [row] = archive.read(source, Options(folder_labels=False))
    assert isinstance(row, Row)
    assert row.labels == ()


def test_folders_above_the_class_folders_name_splits(tmp_path: Path) -> None:
    names = ("train/cat/1.png", "Test/cat/2.png", "photos/dog/3.png", "test/4.png")
    source = zip_of(tmp_path, {name: image_bytes() for name in names})
    layout = archive.inspect(source, None)
    assert any("train (1), Test (1)" in note for note in layout.notes)
    rows = [row for row in archive.read(source, layout.options) if isinstance(row, Row)]
    assert [(row.split, row.labels) for row in rows] == [
        ("train", ("cat",)),
        ("Test", ("cat",)),
        ("", ("dog",)),
        ("", ("test",)),
    ]
    assert all(
        not row.split for row in archive.read(source, Options(folder_labels=False)) if isinstance(row, Row)
    )


def test_names_are_in_normal_form(tmp_path: Path) -> None:
    [row] = archive.read(zip_of(tmp_path, {"u\u0308ber.png": b"x"}), Options())
    assert isinstance(row, Row)
    assert row.external_id == "über.png"


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "a\\..\\evil.png", "a\n.png"]
)
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    rows = list(archive.read(zip_of(tmp_path, {name: image_bytes(), "good.png": image_bytes()}), Options()))
    assert names(rows) == ["good.png"]
    assert "unsafe" in reasons(rows)[0]


def test_links_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    assert "link" in reasons(list(archive.read(Source(tmp_path / "z.zip", "z.zip"), Options())))[0]


def test_an_archive_that_is_a_bomb_is_refused_before_unpacking(tmp_path: Path) -> None:
    source = zip_of(tmp_path, {"a.png": b"\0" * 20 * 2**20}, zipfile.ZIP_DEFLATED)
    for call in (lambda: archive.inspect(source, None), lambda: list(archive.read(source, Options()))):
        with pytest.raises(FormatError, match="far more"):
            call()


def test_one_bomb_among_images_is_one_error(tmp_path: Path) -> None:
    noise = bytes(n * n % 251 for n in range(300_000)) * 1
    source = zip_of(tmp_path, {"good.bin": noise})
    with zipfile.ZipFile(source.path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", b"\0" * 5 * 2**20)
    rows = list(archive.read(source, Options()))
    assert names(rows) == ["good.bin"]
    assert "too large" in reasons(rows)[0]


def test_a_size_that_lies_is_noticed(tmp_path: Path) -> None:
    source = zip_of(tmp_path, {"a.png": b"x" * 500})
    data = source.path.read_bytes()
    source.path.write_bytes(data.replace((500).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    [row] = archive.read(source, Options())
    assert isinstance(row, RowError)


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 1)
    with pytest.raises(FormatError, match="entries"):
        archive.inspect(zip_of(tmp_path, {"a.png": b"1", "b.png": b"2"}), None)


def test_a_damaged_archive_loses_only_the_damaged_file(tmp_path: Path) -> None:
    source = zip_of(tmp_path, {"a.png": b"A" * 500, "b.png": image_bytes()})
    source.path.write_bytes(source.path.read_bytes().replace(b"A" * 500, b"A" * 499 + b"B"))
    rows = list(archive.read(source, Options()))
    assert names(rows) == ["b.png"]
    assert "cannot be unpacked" in reasons(rows)[0]


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FormatError, match="zip"):
        archive.inspect(source_of(tmp_path, content, "x.zip"), None)


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no image"):
        archive.inspect(zip_of(tmp_path, {"readme.txt": b"hi"}), None)


def test_an_image_file_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path, image_bytes(), "a.png")
    [row] = pictures.read(source, Options())
    assert isinstance(row, Row)
    assert (row.external_id, row.payload) == ("a.png", image_bytes())
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    [refused] = pictures.read(source, Options())
    assert isinstance(refused, RowError)


# Which format


def test_the_format_follows_from_the_names_and_the_project() -> None:
    assert format_of(["a.CSV", "b.csv"], "text").key == "csv"
    assert format_of(["a.jpg", "b.png"], "image").key == "images"


@pytest.mark.parametrize(
    ("files", "modality", "reason"),
    [
        ([], "text", "Choose"),
        (["a.csv", "b.txt"], "text", "one kind"),
        (["a.png"], "text", "does not fit"),
        (["a.exe"], "image", "no known kind"),
    ],
)
def test_files_that_do_not_go_together_are_refused(files: list[str], modality: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        format_of(files, modality)


def test_a_picture_of_a_native_archive_is_bounded_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "ab" * 32
    data = image_bytes()
    source = zip_of(tmp_path, {native.asset_name(digest): data})
    with archive.opened(source) as file:
        assert native.picture(file, digest) == data
        assert native.picture(file, "cd" * 32) is None
        monkeypatch.setattr(image, "MAX_BYTES", len(data) - 1)
        with pytest.raises(FormatError, match="too large"):
            native.picture(file, digest)
