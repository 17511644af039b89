"""The items browser: find, look, archive, restore, delete."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from annotator.common.errors import Invalid, NotFound
from annotator.common.pagination import key_from, keyset_page
from annotator.items.models import Item
from annotator.projects.access import can_inspect, can_manage
from annotator.projects.models import Project
from annotator.workspace import items_services
from annotator.workspace.items_selectors import (
    LABELS,
    PAGE,
    Filters,
    browse,
    history,
    imported_classes,
    neighbours,
    split_seen,
    splits_shown,
    whereabouts,
    with_classes,
)

ACTIONS = {
    "archive": (items_services.archive_items, "archived"),
    "restore": (items_services.restore_items, "restored"),
    "delete": (items_services.delete_items, "deleted"),
}
COUNTED = 100_000  # counting stops here: 'more than 100,000'


@require_safe
@login_required
def item_list(request: HttpRequest, project_id: int) -> HttpResponse:
    """Items that match the filters, a page at a time."""
    project, can = can_inspect(request.user, project_id)
    filters = Filters.from_query(request.GET, gold=can.manage)
    after = request.GET.get("after", "")
    items = browse(project, filters, gold=can.manage)
    page = keyset_page(items, key="row", after=key_from(after), size=PAGE)
    found = items.order_by()[: COUNTED + 1].count()
    view = request.GET.get("view") or ("grid" if project.modality == Project.Modality.IMAGE else "table")
    context = {
        "project": project,
        "can": can,
        "active_tab": "items",
        "filters": filters,
        "filtered": bool(filters.query),
        "query": filters.query + (f"&view={view}" if request.GET.get("view") in ("grid", "table") else ""),
        "page": page,
        "after": after,
        "shown": with_classes(page.rows, project.schema),
        "summary": f"more than {COUNTED:,} items"
        if found > COUNTED
        else f"{found:,} item{'' if found == 1 else 's'}",
        "view": "grid" if view == "grid" else "table",
        "splits": splits_shown(gold=can.manage),
        "labels": LABELS.items(),
    }
    template = (
        "items/list.html#results" if request.headers.get("HX-Target") == "results" else "items/list.html"
    )
    return render(request, template, context)


@require_safe
@login_required
def item_detail(request: HttpRequest, project_id: int, item_id: int) -> HttpResponse:
    """One item with everything people did to it. Annotators, who label blind, may not see this."""
    project, can = can_inspect(request.user, project_id)
    item = _item(project, item_id)
    filters = Filters.from_query(request.GET, gold=can.manage)
    before, behind = neighbours(item, filters, project, gold=can.manage)
    schema = project.schema
    context = {
        "project": project,
        "can": can,
        "active_tab": "items",
        "item": item,
        "split": split_seen(item.split, gold=can.manage),
        "imported": imported_classes(item),
        "history": history(item, schema, gold=can.manage),
        "where": whereabouts(item),
        "before": before,
        "behind": behind,
        "query": filters.query,
    }
    return render(request, "items/detail.html", context)


@require_POST
@login_required
def change(request: HttpRequest, project_id: int) -> HttpResponse:
    """Archive, restore or delete the chosen items."""
    project, _ = can_manage(request.user, project_id)
    name = request.POST.get("action", "")
    ids = [key for value in request.POST.getlist("item") if (key := key_from(value)) is not None]
    if name not in ACTIONS:
        raise Invalid("Choose what to do with the items.", code="unknown_action")
    if not ids:
        raise Invalid("Choose at least one item.", code="no_items")
    if len(ids) > items_services.MAX_AT_ONCE:
        raise Invalid(
            f"Choose at most {items_services.MAX_AT_ONCE:,} items at a time.", code="too_many_items"
        )
    act, done = ACTIONS[name]
    count = act(project_id=project.pk, item_ids=ids)
    messages.success(request, f"{count:,} item{'' if count == 1 else 's'} {done}.")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("items:list", args=[project.pk])
    return redirect(back)


def _item(project: Project, item_id: int) -> Item:
    item = Item.objects.filter(project=project, pk=item_id).select_related("asset", "imported_label").first()
    if item is None:
        raise NotFound("There is no such item in this project.", hint="It may have been deleted.")
    return item
