from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotator.operations.health import BAD
from annotator.operations.self_check import of_server

MARKS = {"good": "ok     ", "warning": "warning", "bad": "WRONG  "}


class Command(BaseCommand):
    help = "Say what is right and wrong with this installation. Exit status 1 when something is wrong."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="As a JSON list.")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = of_server()
        if options["json"]:
            self.stdout.write(json.dumps([finding.as_json() for finding in findings], indent=1))
        else:
            for finding in findings:
                self.stdout.write(f"{MARKS[finding.state]}  {finding.sentence}")
                if finding.advice:
                    self.stdout.write(f"         -> {finding.advice}")
        if any(finding.state == BAD for finding in findings):
            sys.exit(1)
