"""The reference tells receivers how to check a signature: its very code is run here."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from annotator.hooks.delivery import signature
from annotator.hooks.models import Kind

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/api.md").read_text(encoding="utf-8")


def documented() -> Any:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    space: dict[str, Any] = {}
    exec(found[1], space)
    return space["comes_from_annotator"]


def test_the_documented_check_accepts_what_we_send_and_nothing_else() -> None:
    check, now, body = documented(), int(time.time()), b'{"a":1}'
    header = signature(["new", "old"], body, at=now)
    assert check("new", header, body)
    assert check("old", header, body)
    assert not check("other", header, body)
    assert not check("new", header, b'{"a":2}')
    assert not check("new", signature(["new"], body, at=now - 3600), body)
    assert not check("new", "nonsense", body)


def test_every_event_is_documented() -> None:
    for kind in Kind.values:
        assert f"`{kind}`" in PAGE
