"""`manage.py replay_round PROJECT NUMBER`: the list of a round again, or what is gone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotator.common.errors import AnnotatorError
from annotator.learning.command_line import named_project, refused
from annotator.learning.models import Round
from annotator.learning.replay import replay_round


class Command(BaseCommand):
    help = (
        "Ranks again with the model, features, pool and seed of a round: says whether the same list comes out, then prints "
        "the item rows in order."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", type=int)
        parser.add_argument("number", type=int)
        parser.add_argument("--limit", type=int, default=100, help="Rows to print.")

    def handle(self, *args: Any, **options: Any) -> None:
        round_ = (
            Round.objects.select_related("model")
            .filter(project=named_project(options["project"]), number=options["number"])
            .first()
        )
        if round_ is None:
            raise CommandError(f"Project {options['project']} has no round {options['number']}.")
        try:
            replay = replay_round(round_)
        except AnnotatorError as error:
            raise refused(error) from error
        verdict = {
            True: "the same list as was served",
            False: "NOT the list that was served",
            None: "the list that was served is not kept any more, so nothing could be compared",
        }
        # To standard error, so that what is piped on are rows alone.
        printed = min(options["limit"], len(replay.rows))
        self.stderr.write(f"Round {round_.number}: {verdict[replay.same]}.")
        self.stderr.write(f"{len(replay.rows)} rows; the first {printed}:")
        self.stderr.flush()
        for row in replay.rows[: options["limit"]].tolist():
            self.stdout.write(str(row))
