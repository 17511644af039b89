"""Pages of a project: the list, a new one, its settings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.views import signed_in
from annotator.common.errors import Invalid
from annotator.projects import access, selectors, services
from annotator.projects.forms import DeleteForm, NewProjectForm, ProjectForm
from annotator.projects.models import Project

CREATE_FIELDS = ("name", "modality", "task", "description", "instructions")


@login_required
@require_safe
def project_list(request: HttpRequest) -> HttpResponse:
    user, archived = signed_in(request), request.GET.get("show") == "archived"
    context = {
        "cards": selectors.project_cards(user, archived=archived),
        "archived": archived,
        "has_archived": archived or selectors.has_projects(user, archived=True),
    }
    return render(request, "projects/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = {field: form.cleaned_data[field] for field in CREATE_FIELDS}
        try:
            project = services.create_project(by=signed_in(request), classes=form.entries(), **values)
        except Invalid as error:
            form.add_error("classes", error.message)
        else:
            messages.success(request, f"“{project.name}” is ready for its first import.")
            return redirect("workspace:dashboard", project.pk)
    return render(request, "projects/create.html", {"form": form}, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, project_id: int) -> HttpResponse:
    project, can = access.can_manage(request.user, project_id)
    form = ProjectForm(request.POST or None, instance=Project.objects.get(pk=project_id))
    if request.method == "POST" and form.is_valid():
        changed = {field: form.cleaned_data[field] for field in form.changed_data}
        services.update_project(project=project, **changed)
        messages.success(request, "Saved.")
        return redirect("projects:settings", project_id)
    return _settings(request, project, can, form=form, status=422 if form.errors else 200)


@login_required
@require_POST
def archive(request: HttpRequest, project_id: int) -> HttpResponse:
    project, _ = access.can_manage(request.user, project_id)
    services.archive_project(project=project)
    messages.success(request, f"“{project.name}” is archived: nobody is given items from it any more.")
    return redirect("projects:settings", project_id)


@login_required
@require_POST
def unarchive(request: HttpRequest, project_id: int) -> HttpResponse:
    project, _ = access.can_manage(request.user, project_id)
    services.unarchive_project(project=project)
    messages.success(request, f"“{project.name}” is open again.")
    return redirect("projects:settings", project_id)


@login_required
@require_POST
def delete(request: HttpRequest, project_id: int) -> HttpResponse:
    project, can = access.can_own(request.user, project_id)
    form = DeleteForm(project, request.POST)
    if not form.is_valid():
        return _settings(request, project, can, delete_form=form, status=422)
    services.delete_project(project=project)
    messages.success(request, f"“{project.name}” is deleted.")
    return redirect("projects:list")


def _settings(
    request: HttpRequest,
    project: Project,
    can: access.Can,
    *,
    form: ProjectForm | None = None,
    delete_form: DeleteForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "project": project,
        "can": can,
        "active_tab": "settings",
        "form": form or ProjectForm(instance=project),
        "delete_form": delete_form or DeleteForm(project),
    }
    return render(request, "projects/settings.html", context, status=status)
