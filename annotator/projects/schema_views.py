"""The schema editor: rows are posted, moved and previewed as a whole; nothing is stored until a version is saved."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import BaseFormSet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotator.accounts.views import signed_in
from annotator.common.errors import Conflict, Invalid
from annotator.projects import access, schema, selectors, services
from annotator.projects.forms import ClassForm, ClassFormSet
from annotator.projects.hotkeys import RESERVED_KEYS
from annotator.projects.models import LabelSchema, Project

PREFIX = "c"
TEXTS = ("uid", "key", "name", "colour", "hotkey", "description", "parent", "fate")
HISTORY = 20
Rows = list[dict[str, Any]]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, project_id: int) -> HttpResponse:
    project, can = access.can_manage(request.user, project_id)
    page = Editor(request, project, can)
    if request.method == "GET":
        return page.show(page.formset(rows_of(page.before)))
    action = request.POST.get("action", "")
    rows = posted_rows(request.POST)
    if action in ("preview", "save"):
        return page.submit(save=action == "save")
    if action == "add":
        return page.show(page.formset([*rows, new_row(rows, page.before)]))
    verb, _, uid = action.partition(":")
    return page.show(page.formset(moved(rows, verb, uid)))


class Editor:
    """One request to the editor: which version was edited, what was sent, what to draw."""

    def __init__(self, request: HttpRequest, project: Project, can: access.Can) -> None:
        self.request, self.project, self.can = request, project, can
        current = project.schema
        wanted = request.POST.get("base_version", "")
        base = int(wanted) if wanted.isdecimal() and len(wanted) < 9 else current.version
        # The version the person saw stays the ground of their edit, even when it is no longer the newest.
        self.schema: LabelSchema = project.schemas.filter(version=base).first() or current
        self.current_version = current.version
        self.before = selectors.class_states(self.schema)
        known = {c.key for c in self.before if not c.active}
        self.back = [key for key in request.POST.getlist("back") if key in known]

    def formset(self, rows: Rows | None = None) -> BaseFormSet[ClassForm]:
        kwargs = {"classes": self.before}
        if rows is None:
            return ClassFormSet(self.request.POST, prefix=PREFIX, form_kwargs=kwargs)
        return ClassFormSet(initial=rows, prefix=PREFIX, form_kwargs=kwargs)

    def submit(self, *, save: bool) -> HttpResponse:
        formset = self.formset()
        if not formset.is_valid():
            return self.show(formset, error=Invalid("Some rows need another look."), status=422)
        entries = [form.entry() for form in formset] + [{"key": key} for key in self.back]
        try:
            if self.current_version != self.schema.version:
                raise services.stale(self.project, self.schema.version, self.current_version)
            after = services.next_classes(self.before, task=self.project.task, classes=entries)
            if after == self.before:
                raise Invalid("Nothing would change.", code="no_change")
            # What is saved is what was previewed.
            if save and self.request.POST.get("previewed") == digest(after):
                return self._save(entries)
        except Invalid as error:
            return self.show(formset, error=error, status=422)
        except Conflict as error:
            if self.request.headers.get("HX-Request"):
                raise
            return self.show(formset, error=error, status=409)
        preview = selectors.preview(self.project, before=self.before, after=after)
        return self.show(formset, preview=preview, previewed=digest(after), changed=save)

    def _save(self, entries: Rows) -> HttpResponse:
        made = services.create_version(
            project=self.project,
            base_version=self.schema.version,
            by=signed_in(self.request),
            classes=entries,
            note=self.request.POST.get("note", "")[:200],
        )
        messages.success(self.request, f"Version {made.version} of the classes is in force.")
        return redirect("projects:schema", self.project.pk)

    def show(self, formset: BaseFormSet[ClassForm], *, status: int = 200, **more: Any) -> HttpResponse:
        context = {
            "project": self.project,
            "can": self.can,
            "active_tab": "schema",
            "schema": self.schema,
            "formset": formset,
            "retired": [c for c in self.before if not c.active],
            "back": self.back,
            "names": {c.key: c.name for c in self.before},
            "versions": selectors.versions(self.project)[:HISTORY],
            # Named keys, such as Enter, nobody can type into the field.
            "reserved": [key for key in RESERVED_KEYS if len(key) == 1],
            "next_version": self.schema.version + 1,
            **more,
        }
        template = "projects/schema.html"
        if self.request.headers.get("HX-Request"):
            template += "#editor"
        return render(self.request, template, context, status=status)


def rows_of(classes: schema.Classes) -> Rows:
    """Rows of the active classes."""
    fields = ("key", "name", "colour", "hotkey", "description", "parent", "is_outlier")
    return [{"uid": c.key, **{field: getattr(c, field) for field in fields}} for c in classes if c.active]


def posted_rows(data: QueryDict) -> Rows:
    """Rows as they stood on the page, unchecked: for drawing them again."""
    total = data.get(f"{PREFIX}-TOTAL_FORMS", "0")
    count = min(int(total), schema.MAX_CLASSES) if total.isdecimal() and len(total) < 6 else 0
    return [
        {field: data.get(f"{PREFIX}-{n}-{field}", "") for field in TEXTS}
        | {"is_outlier": f"{PREFIX}-{n}-is_outlier" in data}
        for n in range(count)
    ]


def new_row(rows: Rows, classes: schema.Classes) -> dict[str, Any]:
    """An empty row with a colour and a key that are still free."""
    numbers = [int(r["uid"][4:]) for r in rows if r["uid"].startswith("new-") and r["uid"][4:].isdecimal()]
    grown = classes
    for row in rows:
        if not row["key"]:
            grown = (*grown, schema.ClassState("", "", row["colour"], row["hotkey"]))
    added = schema.add(grown, name="new")[-1]
    uid = f"new-{max(numbers, default=0) + 1}"
    return {"uid": uid, "key": "", "name": "", "colour": added.colour, "hotkey": added.hotkey}


def moved(rows: Rows, verb: str, uid: str) -> Rows:
    """Rows after one of the buttons up, down, drop; unchanged by anything else."""
    at = next((n for n, row in enumerate(rows) if row["uid"] == uid), None)
    if at is None:
        return rows
    if verb == "drop" and not rows[at]["key"]:
        return rows[:at] + rows[at + 1 :]
    to = {"up": at - 1, "down": at + 1}.get(verb, at)
    if 0 <= to < len(rows):
        rows[at], rows[to] = rows[to], rows[at]
    return rows


def digest(classes: schema.Classes) -> str:
    """What identifies a previewed result."""
    return hashlib.sha256(json.dumps(selectors.class_json(classes)).encode()).hexdigest()
