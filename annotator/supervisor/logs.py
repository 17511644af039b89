"""Output of the children: whole lines into one file each, errors to the terminal too."""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

LARGEST = 10 * 2**20
LONGEST_LINE = 64 * 2**10
APPLICATION_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b|^Traceback |^[\w.]*(Error|Exception)\b")
# A refused duplicate is an ERROR to the database and daily business to the application.
STORE_ERROR = re.compile(r"\b(FATAL|Fatal|PANIC)\b")


def say(line: str) -> None:
    """One line to the terminal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Log:
    """Splits a child's output into lines, keeps them in `file` and shows errors with the child's name."""

    def __init__(
        self, name: str, file: Path, *, errors: re.Pattern[str], show: Callable[[str], None] = say
    ) -> None:
        self.name, self.file, self.errors, self.show = name, file, errors, show
        self.quiet = False
        self.last: deque[str] = deque(maxlen=20)
        self._rest = b""
        self._in_error = False
        self._out = self._open()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._line(line.decode("utf-8", "replace").rstrip())
        self._out.flush()
        if self._out.tell() > LARGEST:
            self._turn_over()

    def close(self) -> None:
        if self._rest:
            self.feed(b"\n")
        self._out.close()

    def _line(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self.last.append(line)
        # A traceback's indented lines belong to the error above them.
        self._in_error = bool(self.errors.search(line)) or (self._in_error and line.startswith((" ", "\t")))
        if self._in_error and not self.quiet:
            self.show(f"[{self.name}] {line}")

    def _turn_over(self) -> None:
        self._out.close()
        self.file.replace(self.file.with_suffix(".log.1"))
        self._out = self._open()

    def _open(self) -> TextIO:
        return self.file.open("a", encoding="utf-8")
