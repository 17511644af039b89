"""Processes of an earlier run that was killed: noted on disk when started, ended before the next run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil


def note(file: Path, pids: Iterable[int]) -> None:
    """Write down the session leaders of this run with their time of birth."""
    born = {}
    for pid in pids:
        try:
            born[pid] = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            continue
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(born), encoding="ascii")
    fresh.replace(file)


def end(file: Path, *, patience: float = 5.0) -> int:
    """End what is left of the sessions in the file, politely first; how many processes there were."""
    try:
        noted = {int(pid): float(born) for pid, born in json.loads(file.read_text(encoding="ascii")).items()}
    except (FileNotFoundError, ValueError):
        return 0
    left = [process for pid, born in noted.items() for process in _session(pid, born)]
    _signal(left, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(left, timeout=patience)
    _signal(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=patience)
    file.unlink(missing_ok=True)
    return len(left)


def _session(leader: int, born: float) -> list[psutil.Process]:
    """Members of a session; none when its number now belongs to a younger leader.

    The kernel gives a number to nobody else while a member of its session lives.
    """
    try:
        if abs(psutil.Process(leader).create_time() - born) > 0.05:
            return []
    except psutil.NoSuchProcess:
        pass
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                members.append(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
