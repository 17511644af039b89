"""The process in which one Parquet file of a stranger is read: rows as lines of JSON on its standard output.

A few kilobytes of such a file can unpack to any size, whatever its own numbers say; here the address space bounds it.
It has one file, opened by its parent, writes none, and has no secrets. Started by `annotator.transfer.formats.parquet_reader`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotator.transfer.values import plain

MEMORY = 2**30  # of which the libraries take a quarter
SECONDS = 20  # of the processor for one batch
PATIENCE = 120  # of the clock
BATCH_ROWS = 100
MAX_LINE = 8 * 2**20  # characters of a row as JSON
MAX_COLUMNS = 1_000
PR_SET_NO_NEW_PRIVS = 38
TOO_MUCH = "it would unpack to more than can be held in memory: write smaller row groups, and shorter cells"


def main() -> None:
    number, memory = int(sys.argv[1]), int(sys.argv[2])
    _confine(memory)
    outgoing = sys.stdout
    try:
        _set_clocks(SECONDS)
        with (
            open(number, "rb") as opened,
            pq.ParquetFile(opened, memory_map=False, pre_buffer=False, buffer_size=2**20) as file,
        ):
            _send(outgoing, _header(file))
            _set_clocks(0)
            if wanted := sys.stdin.readline():
                _write_rows(file, json.loads(wanted), outgoing)
    except MemoryError:
        _send(outgoing, {"error": TOO_MUCH})
    except (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, KeyError) as error:
        _send(outgoing, {"error": str(error).partition("\n")[0][:200]})


def _header(file: pq.ParquetFile) -> dict[str, Any]:
    schema = file.schema_arrow
    if len(schema.names) > MAX_COLUMNS:
        return {"columns": len(schema.names)}
    return {
        "names": schema.names,
        "strings": [field.name for field in schema if str(field.type).endswith("string")],
        "huggingface": (schema.metadata or {}).get(b"huggingface", b"").decode("utf-8", "replace"),
        "rows": file.metadata.num_rows,
    }


def _write_rows(file: pq.ParquetFile, columns: list[str], outgoing: IO[str]) -> None:
    """Each row as an array; null where one is too long."""
    batches = file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False)
    while True:
        _set_clocks(SECONDS)
        batch = next(batches, None)
        if batch is None:
            break
        # By name: the file's order is another than the one asked for.
        values = [batch.column(name).to_pylist() for name in columns]
        lines = [json.dumps([plain(value) for value in row]) for row in zip(*values, strict=True)]
        _set_clocks(0)  # whoever reads may take its time
        outgoing.writelines(f"{line if len(line) <= MAX_LINE else 'null'}\n" for line in lines)
        outgoing.flush()
    _send(outgoing, {"end": True})


def _send(outgoing: IO[str], message: dict[str, Any]) -> None:
    outgoing.write(json.dumps(message) + "\n")
    outgoing.flush()


def _set_clocks(seconds: float) -> None:
    """After so many seconds of the processor, or PATIENCE of the clock, the kernel ends this process."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE if seconds else 0)


def _confine(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # the parent has seen enough
