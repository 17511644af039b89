"""Where a token is kept between calls: one file, readable by its owner only. The environment goes before it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from annotator_client.errors import ClientError


def path() -> Path:
    """`$XDG_CONFIG_HOME/annotator/credentials.json`."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "annotator" / "credentials.json"


def save(url: str, token: str) -> Path:
    """Keep the token for the next calls."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump({"url": url, "token": token}, out)
    fresh.replace(file)
    return file


def load() -> tuple[str, str]:
    """(url, token) from ANNOTATOR_URL and ANNOTATOR_TOKEN, else as kept; ClientError when there is none."""
    kept: dict[str, str] = {}
    if path().exists():
        try:
            kept = json.loads(path().read_text(encoding="utf-8"))
        except ValueError as error:
            raise ClientError(
                f"{path()} is damaged.", hint="Sign in again with 'annotator login URL'."
            ) from error
    url = os.environ.get("ANNOTATOR_URL") or kept.get("url", "")
    token = os.environ.get("ANNOTATOR_TOKEN") or kept.get("token", "")
    if not url or not token:
        raise ClientError("You are not signed in.", hint="Use 'annotator login URL'.")
    return url, token
