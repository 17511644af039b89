"""The import map: names of modules to hashed static addresses, with the page's nonce."""

from __future__ import annotations

import json
from functools import cache

from django import template
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Bare names of third-party modules; our own modules import each other by relative paths.
MODULES = {"uplot": "vendor/uplot/uPlot.esm.js"}


@cache
def module_addresses() -> str:
    """The map as JSON. Our modules' plain addresses map to hashed ones, so that their relative imports stay untouched."""
    imports = {name: static(path) for name, path in MODULES.items()}
    hashed: dict[str, str] = getattr(staticfiles_storage, "hashed_files", {})
    imports |= {settings.STATIC_URL + path: static(path) for path in sorted(hashed) if path.startswith("js/")}
    return json.dumps({"imports": imports}, separators=(",", ":"))


@register.simple_tag(takes_context=True)
def import_map(context: template.Context) -> SafeString:
    text = mark_safe(module_addresses())  # noqa: S308 - our own constant paths
    return format_html('<script type="importmap" nonce="{}">{}</script>', context.get("csp_nonce", ""), text)
