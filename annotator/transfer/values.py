"""Typed cells of tables as JSON holds them; loaded by a process that knows nothing of Django."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

EXCERPT = 200  # characters of a value that no program knows


def plain(value: Any) -> Any:
    """A typed cell as JSON can hold it: dates as ISO 8601, whole numbers without a point, bytes in base 64."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Decimal | timedelta) else repr(value)[:EXCERPT]
