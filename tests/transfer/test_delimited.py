from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.modalities.text import MAX_BYTES
from annotator.transfer.formats import (
    FORMATS,
    FormatError,
    Options,
    Row,
    RowError,
    Source,
    characters,
    delimited,
)

Make = Callable[..., Source]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(content: str | bytes, name: str = "file.csv") -> Source:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(path, name)

    return write


def read(source: Source, **changes: object) -> list[Row | RowError]:
    options = delimited.inspect(source, None).options
    return list(delimited.read(source, replace(options, **changes)))  # type: ignore[arg-type]


def texts(rows: list[Row | RowError]) -> list[str | None]:
    return [row.text for row in rows if isinstance(row, Row)]


def errors(rows: list[Row | RowError]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in rows if isinstance(row, RowError)]


def test_columns_are_guessed_by_their_names(make: Make) -> None:
    layout = delimited.inspect(make("ID,Sentence,Category,split,author\n1,Hello,a,test,x\n"), None)
    options = layout.options
    assert layout.columns == ["ID", "Sentence", "Category", "split", "author"]
    assert (options.external_id, options.text, options.label, options.split) == (
        "ID",
        "Sentence",
        "Category",
        "split",
    )
    assert layout.rows == [["1", "Hello", "a", "test", "x"]]


def test_without_a_telling_name_the_longest_column_is_the_text(make: Make) -> None:
    layout = delimited.inspect(make("doc,headline,topic\n1,A longer text,x\n2,Another long text,y\n"), None)
    assert (layout.options.text, layout.options.label) == ("headline", "topic")


def test_rows_that_do_not_fit_the_header_are_remarked_on_and_shown_in_its_width(make: Make) -> None:
    layout = delimited.inspect(make("id,text\n1,a\n2\n3,b,c\n"), None)
    assert layout.rows == [["1", "a"], ["2", ""], ["3", "b"]]
    assert "2 of these 3 rows" in layout.notes[0]


def test_a_row_carries_everything_that_was_mapped(make: Make) -> None:
    source = make("id,text,label,split,author,extra\n7, Hello ,a|b,test,ann,9\n")
    [row] = read(source, label_separator="|", keep_rest=True)
    assert row == Row(
        line=2,
        external_id="7",
        text=" Hello ",
        labels=("a", "b"),
        split="test",
        meta={"group": "ann", "author": "ann", "extra": "9"},
    )


@pytest.mark.parametrize("delimiter", list(delimited.DELIMITERS))
def test_the_delimiter_is_found(make: Make, delimiter: str) -> None:
    lines = [["id", "text"], ["1", "one, two; three"], ["2", "no | more"], ["3", "last"]]
    body = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    assert texts(read(make(body))) == ["one, two; three", "no | more", "last"]


def test_commas_inside_the_text_of_a_tsv_do_not_split_it(make: Make) -> None:
    source = make("id\ttext\n1\ta, b, c\n2\td, e, f\n", "file.tsv")
    assert texts(read(source)) == ["a, b, c", "d, e, f"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_and_byte_order_marks(make: Make, encoding: str) -> None:
    source = make("text,id\nÄrger für 5 €,1\n".encode(encoding))
    [row] = read(source)
    assert isinstance(row, Row)
    assert (row.text, row.external_id) == ("Ärger für 5 €", "1")


def test_another_encoding_can_be_chosen(make: Make) -> None:
    source = make("text\nПривет\n".encode("cp1251"))
    assert texts(read(source, encoding="cp1251")) == ["Привет"]


def test_bytes_outside_utf8_far_down_the_file_are_left_for_the_check_of_the_row(make: Make) -> None:
    source = make(b"text\n" + b"plain\n" * 100_000 + b"M\xfcll\nend\n")
    rows = texts(read(source))
    assert rows[-2:] == ["M\udcfcll", "end"]


def test_line_breaks_quotes_and_delimiters_inside_quotes(make: Make) -> None:
    source = make('id,text\r\n1,"two\nlines"\r\n2,"say ""hi"", now"\r\n3,plain\r\n')
    rows = read(source)
    assert texts(rows) == ["two\nlines", 'say "hi", now', "plain"]
    assert [row.line for row in rows] == [2, 4, 5]


def test_ragged_rows_are_errors_with_their_line_and_the_rest_goes_in(make: Make) -> None:
    rows = read(make("id,text\n1,a\n2\n3,c,d\n4,e\n"))
    assert texts(rows) == ["a", "e"]
    assert [line for line, _ in errors(rows)] == [3, 4]
    assert "1 fields instead of 2" in errors(rows)[0][1]


def test_blank_lines_are_no_rows(make: Make) -> None:
    assert read(make("text\n\na\n  \n\nb\n\n\n"))[0].line == 3


def test_an_empty_text_and_an_empty_id_are_errors(make: Make) -> None:
    rows = read(make("id,text\n1,\n,b\n"))
    assert errors(rows) == [(2, "The text is empty."), (3, "“id” is empty.")]


def test_a_quotation_mark_never_closed_does_not_swallow_rows_silently(make: Make) -> None:
    rows = read(make('text\na\n"b\nc\nd\n'), text="text")
    assert texts(rows) == ["a"]
    assert errors(rows) == [(3, delimited.UNCLOSED)]


def test_a_huge_field_is_one_error(make: Make) -> None:
    rows = read(make("text\na\n" + "x" * (2 * MAX_BYTES + 10) + "\nb\n"))
    assert texts(rows) == ["a", "b"]
    assert [line for line, _ in errors(rows)] == [3]


def test_a_huge_field_over_many_lines_ends_the_file(make: Make) -> None:
    rows = read(make('text\na\n"' + "x\n" * (MAX_BYTES + 10) + '"\nb\n'))
    assert (texts(rows), errors(rows)) == (["a"], [(3, delimited.UNCLOSED)])


def test_a_line_beyond_all_measure_is_skipped_without_holding_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(characters, "MAX_LINE", 100)
    rows = read(make("id,text\n1," + "x" * 1000 + "\n2,b\n"))
    assert (texts(rows), errors(rows)) == (["b"], [(2, "The line is too long.")])


def test_a_file_without_header(make: Make) -> None:
    source = make("1,first text that is longer\n2,second text that is longer\n")
    layout = delimited.inspect(source, None)
    assert not layout.options.header
    assert layout.columns == ["column 1", "column 2"]
    assert texts(read(source)) == ["first text that is longer", "second text that is longer"]


def test_columns_of_one_name_stay_apart(make: Make) -> None:
    assert delimited.inspect(make("text,text,\na,b,c\n"), None).columns == ["text", "text (2)", "column 3"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b" \n \n", "empty"), (b"\0\1\2\3" * 99, "binary")]
)
def test_what_is_no_table_is_refused(make: Make, content: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        delimited.inspect(make(content), None)


def test_a_header_without_rows_is_remarked_on(make: Make) -> None:
    source = make("id,text,label\n")
    layout = delimited.inspect(source, None)
    assert (layout.rows, layout.notes) == ([], [delimited.ONLY_HEADER])
    assert list(delimited.read(source, layout.options)) == []


def test_utf16_without_a_byte_order_mark_is_refused_and_not_guessed(make: Make) -> None:
    with pytest.raises(FormatError, match="binary"):
        delimited.inspect(make("id,text\n1,one\n".encode("utf-16-le")), None)


def test_the_encoding_of_western_europe_is_guessed_and_said(make: Make) -> None:
    layout = delimited.inspect(make("id,text\n1,caf\u00e9 \u20ac\n".encode("cp1252")), None)
    assert (layout.options.encoding, layout.rows) == ("cp1252", [["1", "caf\u00e9 \u20ac"]])
    assert "is read as Windows-1252" in layout.notes[0]


def test_a_second_file_without_the_column_is_refused(make: Make) -> None:
    with pytest.raises(FormatError, match="no column “body”"):
        list(delimited.read(make("text\na\n"), Options(text="body")))


def test_position_tells_how_much_was_read(make: Make) -> None:
    source = make("text\n" + "abcdefghi\n" * 50_000)
    rows = delimited.read(source, Options(text="text"))
    next(rows)
    assert 0 < source.position < source.size
    list(rows)
    assert source.position == source.size


def test_every_text_format_survives_random_bytes(make: Make) -> None:
    for seed in range(20):
        noise = bytes((seed * 7919 + n * n * 31 + n) % 256 for n in range(5000)).replace(b"\0", b"\n")
        for each in FORMATS.values():
            if "text" not in each.modalities:
                continue
            source = make(noise, "noise")
            try:
                rows = list(each.read(source, each.inspect(source, None).options))
            except FormatError:
                continue
            assert all(isinstance(row, Row | RowError) for row in rows)
