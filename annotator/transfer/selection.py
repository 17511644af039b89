"""What an export or a snapshot takes of a project: filters, and how items are divided into splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from django.utils.dateparse import parse_datetime

from annotator.common.errors import Invalid

PARTS = ("train", "validation", "test")
STATED = ("pool", "test")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Items must pass all. `classes`: keys, any of which the agreed answer has. `since`: of the latest answer."""

    confirmed_only: bool = False
    minimum_agreement: float = 0.0
    splits: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    since: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises Invalid for values that mean nothing."""
        agreement = _share(values.get("minimum_agreement") or 0.0, "The minimum agreement")
        splits = tuple(values.get("splits") or ())
        if unknown := [name for name in splits if name not in STATED]:
            raise Invalid(f"There is no split {unknown[0]!r}: use pool or test.", code="bad_filter")
        return cls(
            confirmed_only=bool(values.get("confirmed_only")),
            minimum_agreement=agreement,
            splits=splits,
            classes=tuple(map(str, values.get("classes") or ())),
            since=_moment(values.get("since") or ""),
        )

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return values | {"splits": list(self.splits), "classes": list(self.classes)}

    @property
    def asks_for_answers(self) -> bool:
        return self.confirmed_only or bool(self.minimum_agreement or self.classes)

    def accept(self, *, split: str, classes: list[str] | None, agreement: float | None, last: str) -> bool:
        """`classes`: the agreed answer, None without one; `last`: moment of the latest answer as ISO text, '' for none."""
        if self.splits and split not in self.splits:
            return False
        if self.since and (not last or datetime.fromisoformat(last) < datetime.fromisoformat(self.since)):
            return False
        if not self.asks_for_answers:
            return True
        if classes is None or (agreement or 0.0) < self.minimum_agreement:
            return False
        return not self.classes or not set(self.classes).isdisjoint(classes)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Shares of train, validation and test, which add up to 1. `group`: key of the items' metadata that stays together."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    group: str = ""
    stratified: bool = True
    seed: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises Invalid unless the shares are shares."""
        default = cls()
        shares = [_share(values.get(name, getattr(default, name)), f"The share of {name}") for name in PARTS]
        if abs(sum(shares) - 1.0) > 1e-6:
            raise Invalid(f"The shares add up to {sum(shares):g} instead of 1.", code="bad_splits")
        seed = values.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise Invalid("The seed must be a whole number that is not negative.", code="bad_splits")
        return cls(
            train=shares[0],
            validation=shares[1],
            test=shares[2],
            group=str(values.get("group") or "")[:200],
            stratified=bool(values.get("stratified", True)),
            seed=seed,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Filters and, if wanted, splits."""

    filters: Filters = Filters()
    splits: Splits | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        splits = values.get("splits")
        return cls(
            filters=Filters.from_json(values.get("filters") or {}),
            splits=Splits.from_json(splits) if splits else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "filters": self.filters.to_json(),
            "splits": self.splits.to_json() if self.splits else None,
        }


def _share(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise Invalid(f"{what} must be a number from 0 to 1.", code="bad_selection")
    return float(value)


def _moment(value: str | datetime) -> str:
    try:
        found = value if isinstance(value, datetime) else parse_datetime(value) if value else None
    except ValueError:
        found = None
    if value and found is None:
        raise Invalid("The date must be written as 2026-01-31T12:00:00Z.", code="bad_filter")
    if found is None:
        return ""
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
