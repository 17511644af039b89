"""`manage.py backtest PROJECT`: which strategy to use, replayed here and now on the labels that the project has."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from annotator.common.errors import AnnotatorError
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.learning import lab, services, tasks
from annotator.learning.command_line import named_project, refused
from annotator.learning.lab_data import count_labels
from annotator.learning.lab_forms import POOLS
from annotator.learning.lab_plan import SEEDS, default_values
from annotator.learning.models import Backtest
from annotator.projects.models import Project

assert tasks  # the handler of the job is registered there


class Command(BaseCommand):
    help = (
        "Replays labelling on the labels of a project, strategy by strategy and seed by seed, and prints one JSON object a "
        "line: how long it takes, each run, each strategy, each pair, the advice. Sentences for people go to standard error. "
        "The result is kept with the project."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", type=int)
        parser.add_argument("--strategies", help="Keys, separated by commas; random is always among them.")
        parser.add_argument("--seeds", type=int, choices=SEEDS)
        parser.add_argument("--budget", type=int, help="Labels to replay.")
        parser.add_argument("--batch", type=int, help="Labels between two fits.")
        parser.add_argument("--pool", choices=[key for key, _ in POOLS])
        parser.add_argument(
            "--estimate", action="store_true", help="Say how long it would take, and no more."
        )
        parser.add_argument(
            "--resume", type=int, metavar="NUMBER", help="Go on with a backtest that was stopped."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = named_project(options["project"])
        try:
            if options["resume"]:
                backtest = lab.backtest_of(project.pk, options["resume"])
                lab.resume_backtest(backtest=backtest, by=None)
            else:
                values = self._values(project, options)
                _, takes, counts = lab.plan(project, values)
                self.stderr.write(
                    f"{counts.labels} labels, {counts.judges} of them may judge. "
                    f"This takes about {takes.low:.0f} to {takes.high:.0f} s."
                )
                self._line(
                    "estimate",
                    takes.as_json() | {"labels": counts.labels, "judges": counts.judges},
                )
                if options["estimate"]:
                    return
                backtest = lab.start_backtest(project=project, by=None, values=values)
        except AnnotatorError as error:
            raise refused(error) from error
        self._play(backtest)

    def _values(self, project: Project, options: dict[str, Any]) -> dict[str, Any]:
        chosen = services.settings_of(project)
        values = default_values(chosen, count_labels(chosen))
        given = {
            name: options[name] for name in ("seeds", "budget", "batch", "pool") if options[name] is not None
        }
        if options["strategies"]:
            given["strategies"] = options["strategies"].split(",")
        return values | given

    def _play(self, backtest: Backtest) -> None:
        """In this process, unless a worker was quicker to take it; each run is printed when it has ended."""
        begun = timezone.now()
        while True:
            backtest = lab.backtest_of(backtest.project_id, backtest.pk)
            job = backtest.job
            if job is None or not job.active:
                break
            if job.state == Job.State.RUNNING:
                raise CommandError(f"A worker plays backtest {backtest.pk} already: follow it on its page.")
            run_job(job.pk)
        self._print(backtest, begun)

    def _print(self, backtest: Backtest, begun: Any) -> None:
        for run in backtest.runs.filter(created_at__gte=begun):
            fields = ("name", "seed", "labels", "scores", "held_out", "seconds", "error")
            self._line("run", {name: getattr(run, name) for name in fields})
        for row in backtest.result.get("strategies", []):
            self._line("strategy", row)
        for row in backtest.result.get("verdicts", []):
            self._line("pair", row)
        if advice := backtest.result.get("advice"):
            self._line("advice", advice)
            self.stderr.write(advice["text"])
        if backtest.state != "done":
            error = backtest.job.error if backtest.job else ""
            raise CommandError(f"Backtest {backtest.pk} stopped. {error} Go on with --resume {backtest.pk}.")

    def _line(self, kind: str, values: dict[str, Any]) -> None:
        self.stdout.write(json.dumps({"line": kind} | values))
