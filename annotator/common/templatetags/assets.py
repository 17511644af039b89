"""The import map: bare module names to hashed static addresses, with the page's nonce."""

from __future__ import annotations

import json

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Bare names of third-party modules; our own modules import each other by relative paths.
MODULES = {"uplot": "vendor/uplot/uPlot.esm.js"}


@register.simple_tag(takes_context=True)
def import_map(context: template.Context) -> SafeString:
    imports = {name: static(path) for name, path in MODULES.items()}
    text = mark_safe(json.dumps({"imports": imports}))  # noqa: S308 - our own constant paths
    return format_html('<script type="importmap" nonce="{}">{}</script>', context.get("csp_nonce", ""), text)
