"""A choice of classes for the whole item: the region of classification."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from annotator.regions.errors import RegionError


@dataclass(frozen=True)
class Choice:
    """`classes`: keys, without repeats, sorted. Single-class tasks hold exactly one; multi-class ones any number."""

    classes: tuple[str, ...]
    kind: ClassVar[str] = "choice"

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Choice:
        keys = value.get("classes")
        if set(value) - {"kind", "classes"}:
            raise RegionError("A choice holds 'kind' and 'classes' only.")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise RegionError("'classes' must be a list of class keys.")
        if len(set(keys)) != len(keys):
            raise RegionError("'classes' names a class twice.")
        return cls(tuple(sorted(keys)))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "classes": list(self.classes)}

    def validate(self, *, classes: Collection[str], task: str) -> None:
        """Raise RegionError unless every class is one of `classes` and their number fits `task`."""
        if unknown := [key for key in self.classes if key not in classes]:
            raise RegionError(f"Unknown class {unknown[0]!r}.")
        if task == "single" and len(self.classes) != 1:
            raise RegionError("Choose exactly one class.")

    def distance(self, other: Choice) -> float:
        """Jaccard distance of the chosen sets, in [0, 1]; two empty choices are equal."""
        union = set(self.classes) | set(other.classes)
        return 1.0 - len(set(self.classes) & set(other.classes)) / len(union) if union else 0.0
