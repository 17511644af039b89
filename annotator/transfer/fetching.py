"""Bytes of rows that name where their image lies: fetched by the job that imports them, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple, cast

from django.conf import settings

from annotator.common.errors import AnnotatorError
from annotator.items import references
from annotator.transfer.formats import Row, RowError

AT_ONCE = 6  # requests on their way
AHEAD = 12  # rows whose bytes wait to be looked at
IN_MEMORY = 4 * 2**20  # of each; what is larger waits on the disk


class Fetched(NamedTuple):
    """A row, and the open file of its bytes."""

    row: Row
    data: SpooledTemporaryFile[bytes]


def with_bytes(rows: Iterator[Row | RowError]) -> Iterator[Row | RowError]:
    """The same rows in the same order, with the bytes of those that lie elsewhere, or the reason why there are none.

    However large the images are, one of them is in memory, and IN_MEMORY of each of the few that wait.
    """
    waiting: deque[Row | RowError | Future[Fetched | RowError]] = deque()
    pool: ThreadPoolExecutor | None = None
    try:
        for row in rows:
            if isinstance(row, Row) and row.fetch:
                pool = pool or ThreadPoolExecutor(AT_ONCE, "fetch")
                waiting.append(pool.submit(_fetched, row))
            else:
                waiting.append(row)
            if len(waiting) > (AHEAD if pool else 0):
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        for each in waiting:
            if isinstance(each, Future) and not each.cancelled() and not each.exception():
                found = each.result()
                if isinstance(found, Fetched):
                    found.data.close()


def _fetched(row: Row) -> Fetched | RowError:
    # Beside the uploads: the folder for temporary files is memory on some systems.
    folder = str(settings.FILE_UPLOAD_TEMP_DIR or settings.MEDIA_ROOT)
    data = SpooledTemporaryFile(max_size=IN_MEMORY, dir=folder)  # noqa: SIM115 - closed by whoever reads it
    try:
        references.download(row.fetch, cast("BinaryIO", data))
    except AnnotatorError as error:
        data.close()
        return RowError(line=row.line, reason=error.message, excerpt=row.fetch[:200])
    except BaseException:
        data.close()
        raise
    return Fetched(row, data)


def _done(row: Row | RowError | Future[Fetched | RowError]) -> Row | RowError:
    found = row.result() if isinstance(row, Future) else row
    if not isinstance(found, Fetched):
        return found
    with found.data as data:
        data.seek(0)
        return replace(found.row, payload=data.read())
