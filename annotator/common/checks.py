"""What is wrong with the environment, told when anything starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from annotator import env


@checks.register()
def environment(**_: Any) -> list[checks.CheckMessage]:
    """Unknown variables are slips of the pen; DEBUG on an open address shows source code to strangers."""
    found: list[checks.CheckMessage] = [
        checks.Warning(
            f"{name} is set but means nothing.",
            hint="See docs/reference/settings.md for the names, or unset it.",
            id="annotator.W001",
        )
        for name in env.unknown_variables()
    ]
    if settings.DEBUG and env.text("ANNOTATOR_HOST") not in ("127.0.0.1", "localhost", "::1"):
        found.append(
            checks.Error(
                "DEBUG is on while the server listens to other machines.",
                hint="Unset DEBUG, or set ANNOTATOR_HOST=127.0.0.1.",
                id="annotator.E001",
            )
        )
    return found
