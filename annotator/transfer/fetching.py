"""Bytes of rows that name where their image lies: fetched by the job that imports them, a few at a time."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from annotator.common.errors import AnnotatorError
from annotator.items import references
from annotator.transfer.formats import Row, RowError

AT_ONCE = 6  # requests on their way
AHEAD = 12  # rows whose bytes wait to be looked at


def with_bytes(rows: Iterator[Row | RowError]) -> Iterator[Row | RowError]:
    """The same rows in the same order, with the bytes of those that lie elsewhere, or the reason why there are none."""
    waiting: deque[Row | RowError | Future[Row | RowError]] = deque()
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


def _fetched(row: Row) -> Row | RowError:
    data = io.BytesIO()
    try:
        references.download(row.fetch, data)
    except AnnotatorError as error:
        return RowError(line=row.line, reason=error.message, excerpt=row.fetch[:200])
    return replace(row, payload=data.getvalue())


def _done(row: Row | RowError | Future[Row | RowError]) -> Row | RowError:
    return row.result() if isinstance(row, Future) else row
