"""Reading Parquet in a child process with limits: neither a web process nor a worker unpacks what strangers packed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import annotator
from annotator.transfer.formats.base import FormatError, Source
from annotator.transfer.parquet_child import MAX_COLUMNS, MAX_LINE, MEMORY, TOO_MUCH

ROOT = Path(annotator.__file__).resolve().parent.parent
ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # The libraries' own pools reserve gigabytes of addresses, which the limit counts.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}  # no secrets: nothing of the parent's environment


@dataclass(frozen=True, kw_only=True)
class Table:
    """An open table: its columns, those of texts, its number of rows by its own word, what Hugging Face notes in it."""

    names: list[str]
    strings: list[str]
    rows: int
    huggingface: str
    process: subprocess.Popen[bytes]

    def records(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any] | None]]:
        """(row number, values of these columns as JSON has them); None for a row that is too long. Only once."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(list(columns)).encode() + b"\n")
            self.process.stdin.close()
        number = 0
        while not isinstance(message := _receive(self.process), dict):
            number += 1
            yield number, message


@contextmanager
def opened(source: Source, *, memory: int = MEMORY) -> Iterator[Table]:
    """The open file; FormatError when it is damaged, or unpacks to more than `memory` bytes can hold."""
    with source.path.open("rb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "annotator.transfer.parquet_child", str(file.fileno()), str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[file.fileno()],
            cwd=ROOT,
            env=ENVIRONMENT,
        )
    try:
        yield _table(_receive(process), process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()


def _table(header: Any, process: subprocess.Popen[bytes]) -> Table:
    if "columns" in header:
        raise FormatError(f"The table has {header['columns']:,} columns; {MAX_COLUMNS:,} are allowed.")
    names = header["names"]
    if twice := [name for name in names if names.count(name) > 1]:
        raise FormatError(f"Two columns are called “{twice[0]}”: give them different names.")
    return Table(process=process, **header)


def _receive(process: subprocess.Popen[bytes]) -> Any:
    """The next line: a row (a list or None), or a dict that is no row."""
    assert process.stdout is not None
    stream: IO[bytes] = process.stdout
    line = stream.readline(MAX_LINE + 2)
    if not line.endswith(b"\n"):
        raise FormatError(f"This Parquet file cannot be read: it is damaged, or {TOO_MUCH}.")
    message = json.loads(line)
    if isinstance(message, dict) and "error" in message:
        raise FormatError(f"This is no Parquet file that can be read: {message['error']}.")
    return message
