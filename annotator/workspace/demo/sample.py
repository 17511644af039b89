from __future__ import annotations

from dataclasses import dataclass

from annotator.transfer.formats import Row


@dataclass(frozen=True)
class Sample:
    """An item of the demo and what it is. The answer never goes to the database."""

    row: Row
    answer: str
