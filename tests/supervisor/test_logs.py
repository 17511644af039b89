"""What is shown of a child's output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.supervisor import logs
from annotator.supervisor.logs import APPLICATION_ERROR, STORE_ERROR, Log


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, shown: list[str]) -> Iterator[Log]:
    log = Log("web", tmp_path / "web.log", errors=APPLICATION_ERROR, show=shown.append)
    yield log
    log.close()


def test_a_traceback_is_shown_whole(log: Log, shown: list[str]) -> None:
    log.feed(b'hello\nTraceback (most recent call last):\n  File "x.py"\n    f()\nKeyError: 3\nhello\n')
    assert [line.removeprefix("[web] ") for line in shown] == [
        "Traceback (most recent call last):",
        '  File "x.py"',
        "    f()",
        "KeyError: 3",
    ]


def test_indented_lines_without_an_error_above_are_not_shown(log: Log, shown: list[str]) -> None:
    log.feed(b"tasks:\n  . jobs.run\n")
    assert shown == []


def test_a_line_that_comes_in_pieces_is_one_line(log: Log, shown: list[str]) -> None:
    for piece in (b"2026 ERR", b"OR lost", b" it\n"):
        log.feed(piece)
    assert shown == ["[web] 2026 ERROR lost it"]


def test_the_last_line_without_an_end_is_kept(log: Log) -> None:
    log.feed(b"goodbye")
    log.close()
    assert log.file.read_text() == "goodbye\n"


def test_bytes_that_are_no_text_do_no_harm(log: Log) -> None:
    log.feed(b"\xff\xfe ERROR\n")
    assert list(log.last) == ["\ufffd\ufffd ERROR"]


def test_nothing_is_shown_of_a_child_that_was_told_to_stop(log: Log, shown: list[str]) -> None:
    log.quiet = True
    log.feed(b"ERROR lost the connection\n")
    assert shown == []


def test_an_old_log_makes_room(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 100)
    log.feed(b"a" * 200 + b"\n")
    log.feed(b"next\n")
    log.close()
    assert log.file.read_text() == "next\n"
    assert log.file.with_suffix(".log.1").read_text() == "a" * 200 + "\n"


def test_an_endless_line_is_cut(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LONGEST_LINE", 100)
    log.feed(b"b" * 150)
    assert list(log.last) == ["b" * 150]


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("2026 UTC [7] ERROR:  duplicate key value violates unique constraint", False),
        ("2026 UTC [7] FATAL:  the database system is out of disk", True),
        ("12:M # Fatal error loading the DB", True),
        ("12:M * Ready to accept connections", False),
    ],
)
def test_a_refused_duplicate_is_no_error_of_the_database(line: str, counts: bool) -> None:
    assert bool(STORE_ERROR.search(line)) is counts
