"""The application of a benchmark ends with it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Stands for the application: says that it is ready, and ends in order when it is asked to.
SERVER = """
import pathlib, signal, sys, threading
ended = threading.Event()
signal.signal(signal.SIGINT, lambda number, frame: ended.set())
print("is ready at", flush=True)
ended.wait()
pathlib.Path(sys.argv[1]).write_text("in order")
"""
BENCHMARK = """
import subprocess, sys, threading
from pathlib import Path
from benchmarks import application

begin = subprocess.Popen
subprocess.Popen = lambda command, **options: begin([sys.executable, sys.argv[1], sys.argv[2]], **options)
with application.Application() as app:
    print(app.home, flush=True)
    threading.Event().wait()
"""


def test_a_benchmark_that_is_ended_ends_the_application_and_removes_its_data(tmp_path: Path) -> None:
    server, told = tmp_path / "server.py", tmp_path / "told"
    server.write_text(textwrap.dedent(SERVER))
    benchmark = subprocess.Popen(
        [sys.executable, "-c", BENCHMARK, str(server), str(told)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert benchmark.stdout is not None
    home = Path(benchmark.stdout.readline().strip())
    assert home.is_dir()
    benchmark.terminate()
    assert benchmark.wait(60) == 128 + 15
    benchmark.stdout.close()
    assert told.read_text() == "in order"
    assert not home.exists()
