"""Children that never outlive the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
from pathlib import Path

import psutil
import pytest

from annotator.supervisor import children
from tests.supervisor.helpers import FOREVER, eventually, gone, python

PARENT = textwrap.dedent("""
    import sys
    from annotator.supervisor import children
    child = children.spawn([sys.executable, "-c", sys.argv[1]])
    print(child.pid)
    child.wait()
""")
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\n" + FOREVER
WITH_GRANDCHILD = textwrap.dedent("""
    import subprocess, sys
    grandchild = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
    print(grandchild.pid)
    grandchild.wait()
""")


def test_a_child_dies_when_its_parent_is_killed() -> None:
    with subprocess.Popen(python(PARENT, FOREVER), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        eventually(lambda: gone(pid))


def test_a_child_is_in_a_session_of_its_own_so_that_a_terminal_does_not_reach_it() -> None:
    child = children.spawn(python(FOREVER))
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        children.stop(child)


def test_a_polite_child_leaves_on_its_signal() -> None:
    child = children.spawn(python(FOREVER))
    assert children.stop(child, first=signal.SIGTERM) == -signal.SIGTERM


def test_a_child_that_ignores_its_signal_is_killed() -> None:
    child = children.spawn(python(STUBBORN), output=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
        assert children.stop(child, patience=0.1) == -signal.SIGKILL


def test_stopping_a_child_takes_its_own_children_too() -> None:
    child = children.spawn(python(WITH_GRANDCHILD, STUBBORN), output=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        grandchild = int(child.stdout.readline())
        child.kill()
        children.stop(child)
    eventually(lambda: gone(grandchild))


def test_a_nice_child_gives_way() -> None:
    child = children.spawn(python(FOREVER), nice=7)
    try:
        assert psutil.Process(child.pid).nice() == psutil.Process().nice() + 7
        group = Path(f"/proc/{child.pid}/autogroup")
        # Sessions are groups of their own to many kernels, and niceness counts within one only.
        assert not group.exists() or group.read_text(encoding="ascii").split()[-1] == "7"
    finally:
        children.stop(child)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")
def test_a_child_of_root_can_run_as_another_user_without_roots_groups() -> None:
    child = children.spawn(["/bin/sh", "-c", "id -u; id -G"], user="nobody", output=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        ids = child.stdout.read().split()
    assert child.wait() == 0
    assert b"0" not in ids
