"""`manage.py simulate`: what a strategy saves on this project, played through the running application."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotator import env
from annotator.common.errors import AnnotatorError
from annotator.projects.models import Project
from annotator.workspace.simulation.experiment import Plan, run_experiment
from annotator.workspace.simulation.gold import read_gold

INTERRUPTED = 130


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


class Command(BaseCommand):
    help = "Play annotators whose answers are known through the running application, and measure the models."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="Id or name of the project to copy.")
        parser.add_argument(
            "--gold", required=True, type=Path, help='JSON lines {"external_id": "…", "classes": ["…"]}.'
        )
        parser.add_argument("--annotators", type=positive, default=4, help="How many label at once.")
        parser.add_argument("--labels", type=positive, default=300, help="Answers in each run.")
        parser.add_argument("--batch", type=positive, default=20, help="Answers between two rounds.")
        parser.add_argument("--strategy", default="margin", help="Key of the strategy to try.")
        parser.add_argument("--compare", nargs="*", default=[], help="Keys of strategies to compare it to.")
        parser.add_argument("--seeds", type=positive, default=5, help="Runs of each strategy.")
        parser.add_argument("--url", help="Where the application answers; by default, as the settings say.")
        parser.add_argument(
            "--patience",
            type=positive,
            default=120,
            help="Seconds without any progress after which to give up.",
        )
        parser.add_argument("--keep", action="store_true", help="Keep the scratch copies to look at them.")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        # Both, and by name: what a shell starts in the background ignores Ctrl-C unless told otherwise.
        earlier = {each: signal.signal(each, _interrupt) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            plan = _plan(options)
            run_experiment(plan, emit=self._emit, tell=self._tell, stop=stop)
        except KeyboardInterrupt:
            self._tell("Stopped; accounts and copies are removed.")
            raise SystemExit(INTERRUPTED) from None
        except AnnotatorError as error:
            raise CommandError(" ".join(filter(None, [error.message, error.hint]))) from error
        finally:
            stop.set()
            for each, handler in earlier.items():
                signal.signal(each, handler)

    def _emit(self, line: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(line))
        self.stdout.flush()

    def _tell(self, text: str) -> None:
        self.stderr.write(text, style_func=str)


def _plan(options: dict[str, Any]) -> Plan:
    return Plan(
        project=_project(options["project"]),
        gold=read_gold(options["gold"]),
        strategies=[options["strategy"], *options["compare"]],
        seeds=options["seeds"],
        annotators=options["annotators"],
        labels=options["labels"],
        batch=options["batch"],
        url=options["url"] or f"http://127.0.0.1:{env.integer('ANNOTATOR_PORT')}",
        patience=options["patience"],
        keep=options["keep"],
    )


def _project(wanted: str) -> Project:
    live = Project.objects.filter(deleted_at=None)
    found = list(live.filter(pk=wanted) if wanted.isdecimal() else live.filter(name=wanted))
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(project.pk) for project in found)
        raise CommandError(f"Several projects are called {wanted!r}: name one by its id ({ids}).")
    known = ", ".join(f"{project.pk} ({project.name})" for project in live.order_by("pk")[:10])
    raise CommandError(f"There is no project {wanted!r}. There are: {known or 'none'}.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
