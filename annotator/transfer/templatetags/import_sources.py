"""The forms for images that lie elsewhere, wherever a page wants them."""

from __future__ import annotations

from typing import Any

from django import template

from annotator.common import storages
from annotator.transfer.remote_forms import BucketForm, UrlListForm

register = template.Library()


@register.inclusion_tag("transfer/_sources.html", takes_context=True)
def import_sources(context: template.Context) -> dict[str, Any]:
    """Both forms, or those that a view hands back with what is wrong."""
    names = storages.names()
    return {
        "project": context["project"],
        "csrf_token": context.get("csrf_token"),
        "url_form": context.get("url_form") or UrlListForm(),
        "bucket_form": context.get("bucket_form") or (BucketForm() if names else None),
    }
