"""Every view of the API says, with one decorator, which scope each of its methods needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from annotator.common.errors import Forbidden
from annotator.common.scopes import ANNOTATE, EXPORT, IMPORT, MANAGE, PUBLIC, READ, SCOPES, Grant

__all__ = [
    "ANNOTATE",
    "EXPORT",
    "IMPORT",
    "MANAGE",
    "PUBLIC",
    "READ",
    "HasScope",
    "declaration_of",
    "needs",
]
View = TypeVar("View", bound=Callable[..., Any])


class HasScope(IsAuthenticated):
    """A signed-in person, or a token with the scope that the view names; a view that names none is for `manage`."""

    scopes: ClassVar[dict[str, tuple[str, ...]]] = {}
    hot: ClassVar[frozenset[str]] = frozenset()
    creates: ClassVar[bool] = False
    tagged: ClassVar[bool] = False

    def has_permission(self, request: Request, view: Any) -> bool:
        method = "GET" if request.method in ("HEAD", "OPTIONS") else str(request.method)
        wanted = self.scopes.get(method, (MANAGE,))
        if PUBLIC in wanted:
            return True
        if not super().has_permission(request, view):
            return False
        # A method without a handler is answered with 405, whatever the token may do.
        known = hasattr(view, method.lower())
        if known and isinstance(request.auth, Grant) and not request.auth.allows(wanted):
            names = " or ".join(f"“{scope}”" for scope in wanted)
            raise Forbidden(
                f"This token lacks the scope {names}.",
                code="missing_scope",
                hint="Make another token with it in your profile.",
                scopes=list(wanted),
            )
        return True


def needs(
    *, hot: bool | tuple[str, ...] = False, tagged: bool = False, **scopes: str | tuple[str, ...]
) -> Callable[[View], View]:
    """Declare the scope of each method, under `@api_view`; of several, one is enough.

    `hot`: methods asked for with every label, so not counted by the throttle; True: all of them. `tagged`: answers carry an ETag and edits heed it.
    """
    declared = {
        method: wanted if isinstance(wanted, tuple) else (wanted,) for method, wanted in scopes.items()
    }
    if unknown := {scope for wanted in declared.values() for scope in wanted} - {*SCOPES, PUBLIC}:
        raise ValueError(f"no such scope: {unknown}")

    def decorate(view: View) -> View:
        members = {
            "scopes": declared,
            "hot": frozenset(declared if hot is True else hot or ()),
            "tagged": tagged,
            "creates": getattr(view, "idempotent", False),
        }
        view.permission_classes = [type("Needs", (HasScope,), members)]  # type: ignore[attr-defined]
        if hot is True:
            view.throttle_classes = []  # type: ignore[attr-defined]
        return view

    return decorate


def declaration_of(view: Any) -> type[HasScope] | None:
    """What a view declared, None where it did not."""
    for permission in getattr(view, "permission_classes", ()):
        if isinstance(permission, type) and issubclass(permission, HasScope) and permission is not HasScope:
            return permission
    return None
