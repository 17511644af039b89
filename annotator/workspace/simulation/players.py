"""Annotators as threads: each takes what the queue gives and answers with gold, until the batch is full."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from annotator.workspace.simulation.client import Api
from annotator.workspace.simulation.errors import SimulationError, Stopped
from annotator.workspace.simulation.gold import Answers

EMPTY_WAIT = 0.1  # seconds before asking an empty queue again


class Quota:
    """How many answers the annotators of a run may give by now, and those they gave. Thread-safe.

    A place is taken before an item is asked for, so that exactly as many are answered as were opened.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limit = self._taken = 0
        self._closed = self._exhausted = False
        self._answers: list[tuple[str, ...]] = []
        self._failure: SimulationError | None = None

    @property
    def answers(self) -> list[tuple[str, ...]]:
        with self._changed:
            return list(self._answers)

    @property
    def exhausted(self) -> bool:
        """Whether everything has been labelled."""
        return self._exhausted

    def open(self, limit: int) -> None:
        """Allow `limit` answers in all."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    def take(self) -> bool:
        """Wait for a place; False when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._exhausted or self._taken < self._limit)
            if self._closed or self._exhausted:
                return False
            self._taken += 1
            return True

    def give(self, answer: tuple[str, ...]) -> None:
        with self._changed:
            self._answers.append(answer)
            self._changed.notify_all()

    def exhaust(self) -> None:
        with self._changed:
            self._taken -= 1
            self._exhausted = True
            self._changed.notify_all()

    def close(self, failure: SimulationError | None = None) -> None:
        with self._changed:
            self._closed = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def closed_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout=seconds)

    def wait_until_full(self, seconds: float) -> bool:
        """Whether all that may be given was given within the time (or nothing is left); raises what an annotator met."""

        def full() -> bool:
            none_on_the_way = len(self._answers) == self._taken
            return self._closed or len(self._answers) >= self._limit or (self._exhausted and none_on_the_way)

        with self._changed:
            done = self._changed.wait_for(full, timeout=seconds)
            if self._failure is not None:
                raise self._failure
            return done


class Player(threading.Thread):
    """One annotator with one connection. An error ends the whole run through the quota."""

    def __init__(self, api: Api, *, answers: Answers, schema_version: int, quota: Quota) -> None:
        super().__init__(daemon=True)
        self._api, self._answers, self._schema_version, self._quota = api, answers, schema_version, quota
        self._holder, self._waits = str(uuid.uuid4()), False

    def run(self) -> None:
        try:
            while self._quota.take():
                self._answer_next()
        except SimulationError as error:
            self._quota.close(error)

    def _answer_next(self) -> None:
        lease = self._next()
        if lease is None:
            self._quota.exhaust()
            return
        began = time.perf_counter()
        item = lease["item"]
        answer = self._answers.get(item["row"])
        if answer is None:
            raise SimulationError(f"The queue served row {item['row']}, for which there is no gold.")
        body = {
            "id": str(uuid.uuid4()),
            "item": item["id"],
            "schema_version": self._schema_version,
            "regions": [{"kind": "choice", "classes": list(answer)}],
            "seconds": round(time.perf_counter() - began, 3),
        }
        self._api.post("annotations/", body)
        self._quota.give(answer)

    def _next(self) -> dict[str, Any] | None:
        """The next lease, waited for; None when everything is labelled."""
        while not self._quota.closed_within(EMPTY_WAIT if self._waits else 0):
            found = self._api.post("next/", {"holder": self._holder, "count": 1})
            self._waits = not found["leases"]
            if found["leases"]:
                lease: dict[str, Any] = found["leases"][0]
                return lease
            if not found["nothing"]["later"]:
                return None
        raise Stopped("Stopped.")
