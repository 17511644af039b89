"""Write the reference page of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotator.transfer.formats import docs


class Command(BaseCommand):
    help = "Print docs/reference/formats.md as the registry has it, or write it to FILE."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"]:
            options["file"].write_text(docs.page(), encoding="utf-8")
        else:
            self.stdout.write(docs.page(), ending="")
