"""Python imports this at the start of every process of the application under test.

Workers get quicker clocks, and steps of a round that stop where a test asks them to: at a named pipe HOLDS/<step>.<when>,
until the test that opened its other end closes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

HOLDS = Path(os.environ.get("LOOP_HOLDS", "/nonexistent"))
EVERY, LOST_AFTER, HEARTBEAT = 1.0, 2.0, 0.4  # seconds


def hurry(sender: Any, **_: object) -> None:
    """Beat's schedule, before it is read."""
    schedule = sender.conf.beat_schedule
    sender.conf.beat_schedule = {name: {**entry, "schedule": EVERY} for name, entry in schedule.items()}


def prepare(**_: object) -> None:
    """A process that does jobs: shorter times, and a round whose steps can be held."""
    from annotator.jobs import services

    services.LOST_AFTER = timedelta(seconds=LOST_AFTER)
    services.HEARTBEAT_EVERY = HEARTBEAT
    original = services._handlers["round"]

    def run_round(run: Any) -> Any:
        from annotator.learning import rounds  # brings torch: not before it is needed

        if not getattr(rounds, "held", False):
            rounds.held = True  # type: ignore[attr-defined]
            rounds.STEPS.update({name: holdable(name, step) for name, step in rounds.STEPS.items()})
        return original(run)

    services._handlers["round"] = run_round


def holdable(name: str, step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(work: Any) -> None:
        hold(f"{name}.before")
        step(work)
        hold(f"{name}.after")

    return run


def hold(place: str) -> None:
    pipe = HOLDS / place
    if pipe.exists():
        with pipe.open("rb") as end:
            end.read()


if os.environ.get("ANNOTATOR_PROCESS") == "worker":
    from celery.signals import import_modules, worker_process_init

    import_modules.connect(hurry, weak=False)
    worker_process_init.connect(prepare, weak=False)
