"""A disk that fills while files are written: said in words, and nothing half-written stays."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.common.errors import AnnotatorError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFull(AnnotatorError):
    code, status = "disk_full", 507


@contextmanager
def full_disk_in_words() -> Iterator[None]:
    """A full disk becomes DiskFull; what was written stays, for whoever goes on with it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(
                "The disk of the server is full.",
                hint="Ask an administrator for room, delete old exports, then try again.",
            ) from error
        raise


@contextmanager
def nothing_half_written(folder: Path) -> Iterator[None]:
    """Remove the folder when the block fails; a full disk becomes DiskFull."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno in FULL:
            raise DiskFull(
                "The disk of the server is full; what was written so far was removed.",
                hint="Ask an administrator for room, delete old exports, then try again.",
            ) from error
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
