"""What projects need to know from the layer of answers above them, which plugs itself in when the apps are ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from annotator.projects.models import Project


@dataclass(frozen=True)
class Progress:
    """Items that can be served, and those of them with at least one answer that counts."""

    labelled: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means all."""
        return self.labelled * 100 // self.total if self.total else 0


class Labeling(Protocol):
    def progress_of(self, project_ids: Sequence[int]) -> Mapping[int, Progress]:
        """Progress of each project; may be some seconds old."""

    def answers_by_class(self, project_id: int) -> Mapping[str, int]:
        """Answers that count now, by the class key that was chosen."""

    def set_overlap(self, *, project: Project, overlap: int, share: float) -> None:
        """Change how many people label each item of a share of them; the queue follows at once."""


_plugged: list[Labeling] = []


def plug_in(labeling: Labeling) -> None:
    _plugged[:] = [labeling]


def labeling() -> Labeling:
    return _plugged[0]
