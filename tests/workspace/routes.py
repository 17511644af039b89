"""Every route of the product, read from Django's resolver, so that none can be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True)
class Route:
    """A named route: its full name, the names of its arguments in order, its view."""

    name: str
    arguments: tuple[str, ...]
    view: Callable[..., Any]

    @property
    def is_api(self) -> bool:
        return self.name.startswith("api:")


def all_routes() -> list[Route]:
    return sorted(_walk(get_resolver(), (), ()), key=lambda route: route.name)


def project_routes() -> list[Route]:
    """Those that belong to one project."""
    return [route for route in all_routes() if "project_id" in route.arguments]


def _walk(resolver: URLResolver, spaces: tuple[str, ...], arguments: tuple[str, ...]) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        known = (*arguments, *entry.pattern.converters)
        if isinstance(entry, URLResolver):
            space = (entry.namespace,) if entry.namespace else ()
            yield from _walk(entry, (*spaces, *space), known)
        elif isinstance(entry, URLPattern):
            assert entry.name, f"{entry.pattern} has no name, so no test can reach it"
            yield Route(":".join((*spaces, entry.name)), known, entry.callback)
