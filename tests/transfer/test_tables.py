"""Parquet and Excel: what only they can hold, and what is wrong with them."""

from __future__ import annotations

import datetime
import io
import json
import resource
import tracemalloc
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotator.transfer.formats import (
    Format,
    FormatError,
    Options,
    Row,
    RowError,
    Source,
    excel,
    huggingface,
    parquet,
    parquet_reader,
)


def table(tmp_path: Path, columns: dict[str, Any], name: str = "a.parquet", **options: Any) -> Source:
    pq.write_table(pa.table(columns), tmp_path / name, **options)
    return Source(tmp_path / name, name)


def book(tmp_path: Path, **sheets: list[list[Any]]) -> Source:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made.save(tmp_path / "a.xlsx")
    return Source(tmp_path / "a.xlsx", "a.xlsx")


def errors(rows: list[Row | RowError]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in rows if isinstance(row, RowError)]


def texts(rows: list[Row | RowError]) -> list[str | None]:
    return [row.text for row in rows if isinstance(row, Row)]


# Parquet


def test_columns_keep_their_types(tmp_path: Path) -> None:
    source = table(
        tmp_path,
        {
            "id": [7, 8],
            "text": ["one\nline", "zwei 🙂"],
            "labels": [["cat", "dog"], None],
            "when": [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), None],
            "price": [Decimal("1.10"), None],
            "blob": [b"\0\1", None],
            "score": [0.5, float("nan")],
        },
    )
    layout = parquet.inspect(source, None)
    assert (layout.options.text, layout.options.external_id, layout.options.label) == ("text", "id", "labels")
    assert layout.rows[0][:2] == ["7", "one\nline"]
    options = Options(text="text", external_id="id", label="labels", keep_rest=True)
    first, second = parquet.read(source, options)
    assert first == Row(
        line=1,
        external_id="7",
        text="one\nline",
        labels=("cat", "dog"),
        meta={"when": "2026-01-02T00:00:00+00:00", "price": "1.10", "blob": "AAE=", "score": 0.5},
    )
    assert second == Row(line=2, external_id="8", text="zwei 🙂")
    assert source.position == source.size


def test_only_the_columns_that_are_used_are_read(tmp_path: Path) -> None:
    source = table(tmp_path, {"text": ["a"], "huge": [b"x"]})
    [row] = parquet.read(source, Options(text="text"))
    assert isinstance(row, Row)
    assert row.meta == {}


def test_a_text_column_is_guessed_by_its_type(tmp_path: Path) -> None:
    assert parquet.inspect(table(tmp_path, {"n": [1], "words": ["a"]}), None).options.text == "words"


def test_missing_and_wrong_texts_are_error_rows(tmp_path: Path) -> None:
    assert errors(list(parquet.read(table(tmp_path, {"text": ["a", None]}), Options(text="text")))) == [
        (2, "The text is empty.")
    ]
    assert (
        "not a text" in errors(list(parquet.read(table(tmp_path, {"text": [5]}), Options(text="text"))))[0][1]
    )


def test_a_large_table_takes_little_memory(tmp_path: Path) -> None:
    source = table(tmp_path, {"text": [f"{n} " + "x" * 500 for n in range(20_000)]}, row_group_size=20_000)
    tracemalloc.start()
    count = sum(1 for _ in parquet.read(source, Options(text="text")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 4 * 2**20


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"text\nno parquet\n"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(FormatError, match="Parquet"):
        parquet.inspect(Source(tmp_path / "a.parquet", "a.parquet"), None)


def test_a_table_cut_short_or_damaged_is_refused_in_words(tmp_path: Path) -> None:
    source = table(tmp_path, {"text": [f"text {n}" for n in range(2000)]})
    whole = source.path.read_bytes()
    source.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="Parquet"):
        list(parquet.read(source, Options(text="text")))
    source.path.write_bytes(whole[:10] + b"\xff" * 200 + whole[210:])
    with pytest.raises(FormatError, match="Parquet"):
        list(parquet.read(source, Options(text="text")))


def test_tables_without_rows_or_with_one_name_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no row"):
        parquet.inspect(table(tmp_path, {"text": pa.array([], pa.string())}), None)
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(FormatError, match="called “text”"):
        parquet.inspect(Source(tmp_path / "twice.parquet", "twice.parquet"), None)


def bomb(path: Path, *, huggingface: bool = False, values: int = 200_000, size: int = 100_000) -> Source:
    """A few kilobytes whose dictionary unpacks to gigabytes, while every number in the file is small."""
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * values, pa.int32()), pa.array(["y" * size]))
    made = pa.table({"text": cells}).cast(pa.schema([("text", pa.dictionary(pa.int32(), pa.string()))]))
    lists = pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), made["text"].combine_chunks())
    noted = {"huggingface": json.dumps({"info": {"features": {}}})} if huggingface else {}
    pq.write_table(pa.table({"text": lists}).replace_schema_metadata(noted), path, compression="zstd")
    source = Source(path, path.name)
    assert source.size < 20_000
    return source


@pytest.mark.parametrize("kind", [parquet.FORMAT, huggingface.PARQUET])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_outside_of_this_process(
    tmp_path: Path, kind: Format
) -> None:
    source = bomb(tmp_path / "train.parquet", huggingface=kind is huggingface.PARQUET)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match="would unpack to more"):
        kind.inspect(source, None)
    with pytest.raises(FormatError, match="would unpack to more"):
        list(kind.read(source, Options(text="text")))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10  # KiB


def test_a_row_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    source = table(tmp_path, {"text": ["a", "b" * (8 * 2**20 + 1), "c"]})
    rows = list(parquet.read(source, Options(text="text")))
    assert texts(rows) == ["a", "c"]
    assert errors(rows) == [(2, parquet.TOO_LONG)]


def test_reading_ends_the_process_that_reads(tmp_path: Path) -> None:
    source = table(tmp_path, {"text": ["a" * 1000] * 5000})
    with parquet_reader.opened(source) as opened:
        next(opened.records(["text"]))
        assert opened.process.poll() is None
    assert opened.process.returncode is not None


def test_columns_may_be_read_in_any_order(tmp_path: Path) -> None:
    source = table(tmp_path, {"a.b": [1], "c": ["x"], "d": [[1, None]]})
    with parquet_reader.opened(source) as opened:
        assert list(opened.records(["d", "a.b", "c"])) == [(1, [[1, None], 1, "x"])]


# Excel


def test_a_sheet_is_read_like_a_table(tmp_path: Path) -> None:
    source = book(
        tmp_path, Data=[["id", "text", "label"], [1, "one\ntwo", "cat"], [], [2.0, 42, None], [3, None, "x"]]
    )
    layout = excel.inspect(source, None)
    assert (layout.options.text, layout.options.external_id, layout.options.header) == ("text", "id", True)
    assert layout.sheets == ["Data"]
    rows = list(excel.read(source, layout.options))
    assert rows[0] == Row(line=2, external_id="1", text="one\ntwo", labels=("cat",))
    assert rows[1] == Row(line=4, external_id="2", text="42")
    assert errors(rows) == [(5, "The text is empty.")]
    assert source.position == source.size


def test_another_sheet_can_be_chosen_and_an_empty_first_one_is_passed_over(tmp_path: Path) -> None:
    source = book(tmp_path, Empty=[], One=[["text"], ["a"]], Two=[["body"], ["b"]])
    layout = excel.inspect(source, None)
    assert (layout.options.sheet, layout.sheets) == ("One", ["Empty", "One", "Two"])
    other = excel.inspect(source, Options(sheet="Two", text="text"))
    assert other.options.text == "body"
    assert texts(list(excel.read(source, other.options))) == ["b"]
    with pytest.raises(FormatError, match="no sheet “Three”"):
        list(excel.read(source, Options(sheet="Three", text="a")))


def test_formulas_are_never_calculated_and_errors_are_empty(tmp_path: Path) -> None:
    source = book(tmp_path, S=[["text", "n"], ["=1+1", 1], ["fine", "#REF!"]])
    rows = list(excel.read(source, Options(text="text", keep_rest=True)))
    assert errors(rows) == [(2, "The text is empty.")]
    assert rows[1] == Row(line=3, text="fine")


def test_a_value_outside_the_columns_is_an_error_row(tmp_path: Path) -> None:
    rows = list(excel.read(book(tmp_path, S=[["text"], ["a", "b"], ["c"]]), Options(text="text")))
    assert texts(rows) == ["c"]
    assert "right of the 1 columns" in errors(rows)[0][1]


def test_a_sheet_without_header(tmp_path: Path) -> None:
    source = book(tmp_path, S=[[1, "a first text, rather long"], [2, "a second text, rather long"]])
    layout = excel.inspect(source, None)
    assert (layout.columns, layout.options.header) == (["column 1", "column 2"], False)
    assert len(texts(list(excel.read(source, layout.options)))) == 2


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\xd0\xcf\x11\xe0old excel", b"text\na\n"])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(FormatError, match="xlsx"):
        excel.inspect(Source(tmp_path / "a.xlsx", "a.xlsx"), None)


def changed(source: Source, part: str, content: bytes) -> Source:
    """The workbook with one part replaced or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(source.path) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            if info.filename != part:
                new.writestr(info.filename, old.read(info))
        new.writestr(part, content)
    source.path.write_bytes(out.getvalue())
    return source


def sheet_xml(rows: str) -> bytes:
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{namespace}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def test_a_workbook_that_is_a_bomb_is_refused_before_unpacking(tmp_path: Path) -> None:
    source = changed(book(tmp_path, S=[["text"], ["a"]]), "xl/media/x.bin", b"\0" * 20 * 2**20)
    with pytest.raises(FormatError, match="far more"):
        excel.inspect(source, None)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + sheet_xml("")
    for content in (bomb, bomb.decode().encode("utf-16")):
        source = changed(book(tmp_path, S=[["text"], ["a"]]), "xl/worksheets/sheet1.xml", content)
        with pytest.raises(FormatError, match="document type"):
            excel.inspect(source, None)


def test_a_row_number_beyond_all_measure_does_not_keep_anybody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "MAX_ROWS", 1000)
    cell = '<c r="A1" t="inlineStr"><is><t>text</t></is></c>'
    xml = sheet_xml(f'<row r="1">{cell}</row><row r="999999999">{cell.replace("A1", "A999999999")}</row>')
    source = changed(book(tmp_path, S=[["text"], ["a"]]), "xl/worksheets/sheet1.xml", xml)
    with pytest.raises(FormatError, match="rows"):
        list(excel.read(source, Options(text="text")))


@pytest.mark.parametrize("xml", [b"no xml at all", sheet_xml("<row><c r='!!'><v>x</v></c></row>"), b""])
def test_damaged_sheets_are_refused_in_words(tmp_path: Path, xml: bytes) -> None:
    source = changed(book(tmp_path, S=[["text"], ["a"]]), "xl/worksheets/sheet1.xml", xml)
    with pytest.raises(FormatError):
        list(excel.read(source, Options(text="text")))


def test_too_many_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "MAX_COLUMNS", 2)
    with pytest.raises(FormatError, match="columns"):
        excel.inspect(book(tmp_path, S=[["text", "b", "c"]]), None)
