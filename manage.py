#!/usr/bin/env python
"""Django's commands for Annotator."""

import os
import sys

from django.core.management import execute_from_command_line

from annotator import env


def main() -> None:
    """Run one command; a wrong environment is told in sentences, not as a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")
    if problems := env.problems():
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        raise SystemExit(2)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
