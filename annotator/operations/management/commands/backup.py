from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotator.common.errors import AnnotatorError
from annotator.operations import stores
from annotator.operations.backup import back_up
from annotator.operations.progress import Line
from annotator.supervisor.errors import StartError


class Command(BaseCommand):
    help = "Put the database and the files that belong to it into one archive. The application may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="The archive to make.")
        parser.add_argument(
            "--with-features",
            action="store_true",
            help="Also what encoders made of the items; else it is computed again.",
        )
        parser.add_argument(
            "--with-secrets",
            action="store_true",
            help="Also the key that signs sessions and links. Keep the file safe.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        target: Path = options["to"].absolute()
        try:
            with stores.reached(stopped=False):
                manifest = back_up(
                    target=target,
                    with_features=options["with_features"],
                    with_secrets=options["with_secrets"],
                    progress=Line(self.stderr, "Backing up"),
                )
        except AnnotatorError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error
        except (StartError, OSError) as error:
            raise CommandError(str(error)) from error
        size = target.stat().st_size
        self.stdout.write(f"{target}: {len(manifest.files):,} files, {size / 2**20:,.1f} MiB.")
