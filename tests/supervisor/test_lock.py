"""One application per data folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from annotator.supervisor import children, lock
from annotator.supervisor.errors import StartError
from tests.supervisor.helpers import FOREVER, python

HOLDER = """
import sys
from pathlib import Path
from annotator.supervisor import lock
with lock.held(Path(sys.argv[1])):
    print("held")
    sys.stdin.read()
"""


def test_a_second_copy_is_refused_in_words_with_the_process_that_runs(tmp_path: Path) -> None:
    with subprocess.Popen(
        python(HOLDER, str(tmp_path)), stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StartError, match=rf"already runs on {tmp_path} \(process {holder.pid}\)"):  # noqa: SIM117
            with lock.held(tmp_path):
                pytest.fail("two hold one folder")


def test_a_killed_holder_leaves_the_folder_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        python(HOLDER, str(tmp_path)), stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    with lock.held(tmp_path):
        assert (tmp_path / "supervisor.lock").read_text().strip() == str(os.getpid())


def test_a_child_that_outlives_the_block_does_not_hold_the_folder(tmp_path: Path) -> None:
    with lock.held(tmp_path):
        child = children.spawn(python(FOREVER))
    try:
        with lock.held(tmp_path):
            assert child.poll() is None
    finally:
        children.stop(child)
