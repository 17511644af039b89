"""Keyset pages: cost does not grow with how far one reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


MOST_DIGITS = 18  # of a key: what fits a bigint whatever the digits are


def key_from(text: str | None) -> int | None:
    """The key that stands in an address; None for what cannot be one, however long it is."""
    return int(text) if text and len(text) <= MOST_DIGITS and text.isdecimal() else None


@dataclass(frozen=True)
class Page(Generic[M]):
    rows: list[M]
    next_after: Any | None


def keyset_page(
    queryset: QuerySet[M], *, key: str, after: Any | None, size: int, descending: bool = False
) -> Page[M]:
    """`size` rows ordered by the unique column `key`, those behind `after` only."""
    if after not in (None, ""):
        queryset = queryset.filter(**{f"{key}__{'lt' if descending else 'gt'}": after})
    rows = list(queryset.order_by(f"-{key}" if descending else key)[: size + 1])
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, getattr(rows[-1], key) if more else None)
