"""Bringing in images that lie elsewhere: a list of addresses, or a prefix of a storage."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from annotator.accounts.models import User
from annotator.common.errors import Invalid
from annotator.projects.access import can_manage
from annotator.projects.models import Project
from annotator.transfer import remote
from annotator.transfer.remote_forms import BucketForm, UrlListForm
from annotator.transfer.views import refuse_large


@require_POST
@login_required
def import_urls(request: HttpRequest, project_id: int) -> HttpResponse:
    """Keep a list of addresses; what its columns mean is chosen next."""
    refuse_large(request)
    project, can = can_manage(request.user, project_id)
    form = UrlListForm(request.POST, request.FILES)
    if form.is_valid():
        upload = form.cleaned_data["addresses"]
        try:
            record = remote.receive_urls(project=project, user=_person(request), upload=upload)
        except Invalid as error:
            form.add_error("addresses", " ".join(filter(None, [error.message, error.hint])))
        else:
            return redirect("transfer:mapping", project.pk, record.pk)
    return _again(request, project, can, url_form=form)


@require_POST
@login_required
def import_bucket(request: HttpRequest, project_id: int) -> HttpResponse:
    """Note a prefix of a storage; how its images come in is chosen next."""
    project, can = can_manage(request.user, project_id)
    form = BucketForm(request.POST)
    if form.is_valid():
        values = form.cleaned_data
        try:
            record = remote.receive_bucket(
                project=project, user=_person(request), storage=values["storage"], prefix=values["begins"]
            )
        except Invalid as error:
            form.add_error("begins", " ".join(filter(None, [error.message, error.hint])))
        else:
            return redirect("transfer:mapping", project.pk, record.pk)
    return _again(request, project, can, bucket_form=form)


def _again(request: HttpRequest, project: Project, can: Any, **forms: Any) -> HttpResponse:
    """The form with what is wrong, on a page of its own."""
    context = {"project": project, "can": can, "active_tab": "import", **forms}
    return render(request, "transfer/elsewhere.html", context, status=422)


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)
