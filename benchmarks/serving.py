"""How fast the queue serves and stores: `python -m benchmarks.serving --items 100000 --annotators 8 --seconds 60`.

Starts the whole application on a temporary data folder and drives it over HTTP with one keep-alive connection per
annotator, while rounds train and re-rank and an old snapshot of the database is held open. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from benchmarks.application import Application, emit
from benchmarks.synthetic import CLASSES, add_annotators, add_labels, labelled_rows, make_project

FIRST_LABELS = 1_000  # answered before the load begins, so that a model ranks the queue


@dataclass
class Clocks:
    """Milliseconds per request and who was served what, over all annotators."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    empty: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Annotator(threading.Thread):
    """One person with one connection: next, think, answer, until the time is up."""

    def __init__(
        self,
        app: Application,
        project_id: int,
        token: str,
        clocks: Clocks,
        end: float,
        think: float,
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self.path = f"/api/v1/projects/{project_id}/"
        self.connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
        self.headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Host": "localhost",
        }
        self.clocks, self.end, self.think = clocks, end, think
        self.rng = random.Random(seed)
        self.holder = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.failure: str | None = None

    def call(self, path: str, body: dict[str, Any]) -> tuple[Any, float]:
        started = time.perf_counter()
        self.connection.request("POST", self.path + path, json.dumps(body), self.headers)
        response = self.connection.getresponse()
        content = response.read()
        spent = (time.perf_counter() - started) * 1000
        if response.status >= 300:
            raise RuntimeError(f"{path} answered {response.status}: {content[:300]!r}")
        return json.loads(content), spent

    def run(self) -> None:
        try:
            self._work()
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            self.failure = repr(error)

    def _work(self) -> None:
        due = time.perf_counter() + self.rng.random() * self.think
        while time.perf_counter() < self.end:
            if self.think:
                time.sleep(max(0.0, due - time.perf_counter()))
                due += self.think * (0.5 + self.rng.random())
            answer, next_ms = self.call("next/", {"holder": self.holder, "count": 1})
            if not answer["leases"]:
                with self.clocks.lock:
                    self.clocks.empty += 1
                time.sleep(0.05)
                continue
            item = answer["leases"][0]["item"]["id"]
            body = {
                "id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
                "item": item,
                "schema_version": 1,
                "regions": [{"kind": "choice", "classes": [f"class-{self.rng.randrange(CLASSES)}"]}],
                "seconds": 1.0,
            }
            _, submit_ms = self.call("annotations/", body)
            with self.clocks.lock:
                self.clocks.next.append(next_ms)
                self.clocks.submit.append(submit_ms)
                self.clocks.served.append(item)


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def run_case(
    app: Application, project_id: int, tokens: list[str], case: str, seconds: float, think: float
) -> list[tuple[str, float, str]]:
    """One load of `seconds`; the metrics as (name, value, unit)."""
    clocks, started, rounds = Clocks(), time.perf_counter(), app.rounds_published(project_id)
    threads = [
        Annotator(app, project_id, token, clocks, started + seconds, think, seed)
        for seed, token in enumerate(tokens, start=len(case) * 1000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - started
    failures = [thread.failure for thread in threads if thread.failure]
    if failures:
        raise SystemExit(f"{case}: {failures[0]}")
    return [
        ("labels_per_second", len(clocks.submit) / spent, "1/s"),
        ("next_p50", percentile(clocks.next, 0.5), "ms"),
        ("next_p95", percentile(clocks.next, 0.95), "ms"),
        ("next_p99", percentile(clocks.next, 0.99), "ms"),
        ("submit_p50", percentile(clocks.submit, 0.5), "ms"),
        ("submit_p95", percentile(clocks.submit, 0.95), "ms"),
        ("submit_p99", percentile(clocks.submit, 0.99), "ms"),
        ("duplicates", len(clocks.served) - len(set(clocks.served)), "items"),
        ("empty", clocks.empty, "answers"),
        ("rounds", app.rounds_published(project_id) - rounds, "rounds"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--annotators", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--pace", type=float, default=2.0, help="labels a second and annotator in the paced case"
    )
    parser.add_argument("--cases", default="paced,saturated")
    options = parser.parse_args()
    parameters = {"items": options.items, "annotators": options.annotators, "cores": os.cpu_count()}
    with Application() as app:
        project = make_project(options.items)
        add_labels(project, labelled_rows(project, FIRST_LABELS, options.items), seed=1)
        tokens = add_annotators(project, options.annotators)
        start_rounds(project.pk)
        app.wait_for_queue(project.pk)
        with app.old_snapshot():
            for case in options.cases.split(","):
                think = 1.0 / options.pace if case == "paced" else 0.0
                for metric, value, unit in run_case(app, project.pk, tokens, case, options.seconds, think):
                    emit("serving", case, metric, value, unit, **parameters)


def start_rounds(project_id: int) -> None:
    """Rounds begin by themselves from now on, as answers come in."""
    from annotator.learning.models import LearningSettings
    from annotator.learning.services import start_round_if_due

    LearningSettings.objects.filter(project=project_id).update(paused=False)
    start_round_if_due(project_id)


if __name__ == "__main__":
    main()
