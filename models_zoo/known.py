"""Weight files that are known by their content: what a file's name does not tell. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

# sha256 -> parameters. Google's MobileNetV2 saw pixels from -1 to 1; ImageNet's mean and spread cost it three points.
PARAMS: dict[str, dict[str, Any]] = {
    "790a40056ef905b48d312dd10e20fc2b9f83e0fa7f098e15affc3d0cdbf287ea": {"preprocessing": "half"},
}


def params_of(path: Path) -> dict[str, Any]:
    """Parameters that go with a weight file; none when it is not known."""
    with path.open("rb") as file:
        return dict(PARAMS.get(hashlib.file_digest(file, "sha256").hexdigest(), {}))
