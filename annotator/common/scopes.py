"""What tokens may do, by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

READ, ANNOTATE, IMPORT, EXPORT, MANAGE = SCOPES = ("read", "annotate", "import", "export", "manage")
LABELS = {
    READ: "Read",
    ANNOTATE: "Label: next item, answers, skips, drafts",
    IMPORT: "Bring items and predictions in",
    EXPORT: "Take data out",
    MANAGE: "Everything, settings and members included",
}
CHOICES = [(scope, LABELS[scope]) for scope in SCOPES]
PUBLIC = "public"  # needs nobody: the view itself decides


@dataclass(frozen=True)
class Grant:
    """The token behind a request and what it may do; `manage` holds all the others."""

    id: int
    scopes: Collection[str]

    def allows(self, wanted: Collection[str]) -> bool:
        return MANAGE in self.scopes or any(scope in self.scopes for scope in wanted)
