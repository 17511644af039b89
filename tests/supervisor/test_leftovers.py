"""Processes of an earlier run are found and ended, others are left alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from annotator.supervisor import children, leftovers
from tests.supervisor.helpers import FOREVER, eventually, gone, python


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    running = children.spawn(python(FOREVER))
    yield running
    children.stop(running)


def test_a_noted_process_is_ended(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    leftovers.note(tmp_path / "noted.json", [child.pid])
    assert leftovers.end(tmp_path / "noted.json") == 1
    assert gone(child.pid)
    assert not (tmp_path / "noted.json").exists()


def test_a_stranger_that_got_the_number_is_left_alone(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    born = psutil.Process(child.pid).create_time() - 3600
    (tmp_path / "noted.json").write_text(json.dumps({child.pid: born}))
    assert leftovers.end(tmp_path / "noted.json") == 0
    assert child.poll() is None


def test_the_rest_of_a_session_whose_leader_died_is_ended(tmp_path: Path) -> None:
    code = (
        f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid)\n{FOREVER}"
    )
    leader = children.spawn(python(code), output=subprocess.PIPE)
    assert leader.stdout is not None
    with leader.stdout:
        member = int(leader.stdout.readline())
    leftovers.note(tmp_path / "noted.json", [leader.pid])
    leader.kill()
    leader.wait()
    assert not gone(member)
    assert leftovers.end(tmp_path / "noted.json") == 1
    eventually(lambda: gone(member))


def test_a_process_that_ignores_requests_is_killed(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\n" + FOREVER
    deaf = children.spawn(python(code), output=subprocess.PIPE)
    assert deaf.stdout is not None
    with deaf.stdout:
        deaf.stdout.readline()
    leftovers.note(tmp_path / "noted.json", [deaf.pid])
    leftovers.end(tmp_path / "noted.json", patience=0.2)
    assert gone(deaf.pid)
    deaf.wait()


@pytest.mark.parametrize("content", [None, "", "not json", '{"x": 1}'])
def test_no_note_or_a_broken_one_means_nothing_left(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "noted.json").write_text(content)
    assert leftovers.end(tmp_path / "noted.json") == 0


def test_a_process_that_ended_before_it_could_be_noted_is_skipped(tmp_path: Path) -> None:
    ended = children.spawn(python(""))
    ended.wait()
    leftovers.note(tmp_path / "noted.json", [ended.pid])
    assert json.loads((tmp_path / "noted.json").read_text()) == {}
