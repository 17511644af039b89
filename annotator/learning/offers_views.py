"""The page of a project's stream: who decides, what was decided, whether the stream drifts."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from acquisition.stream import MANAGERS
from annotator.accounts.models import User
from annotator.common.errors import AnnotatorError
from annotator.learning import offers
from annotator.learning.models import ItemStream, Offer
from annotator.learning.params import fields_of, values_of
from annotator.projects.access import can_manage

SHOWN = 50


class StreamForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings of a stream, with the parameters of the manager that is chosen now."""

    class Meta:
        model = ItemStream
        fields = ["enabled", "budget"]
        labels = {"enabled": "Take offers", "budget": "Budget"}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        chosen = str(self.data.get("manager", "")) if self.is_bound else self.instance.manager
        self.manager = MANAGERS.get(chosen) or next(iter(MANAGERS.values()))
        self.fields["manager"] = forms.ChoiceField(
            label="Who decides",
            choices=[(manager.key, manager.title) for manager in MANAGERS.values()],
            initial=self.instance.manager,
        )
        stored = self.instance.params if self.manager.key == self.instance.manager else {}
        self.fields.update(fields_of("manager", self.manager.params, stored))

    def values(self) -> dict[str, Any]:
        """What `offers.update_stream` takes."""
        return {
            "enabled": self.cleaned_data["enabled"],
            "budget": self.cleaned_data["budget"],
            "manager": self.cleaned_data["manager"],
            "params": values_of("manager", self.manager.params, self.cleaned_data),
        }

    @property
    def manager_advice(self) -> str:
        return self.manager.advice

    def params(self) -> list[forms.BoundField]:
        return [self[f"manager-{name}"] for name in self.manager.params]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def stream_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """Settings and state. `refresh` shows the parameters of another manager without saving."""
    project, can = can_manage(cast(User, request.user), project_id)
    stream = offers.stream_of(project)
    form, status = StreamForm(request.POST or None, instance=stream), 200
    if request.method == "POST" and "refresh" not in request.POST:
        if form.is_valid():
            try:
                stream.refresh_from_db()
                offers.update_stream(stream=stream, values=form.values())
            except AnnotatorError as error:
                form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
            else:
                messages.success(request, "Saved.")
                return redirect("learning:stream", project_id)
        status = 422
    context = {
        "project": project,
        "can": can,
        "active_tab": "stream",
        "form": form,
        "status": offers.status(offers.stream_of(project)),
        "decisions": Offer.objects.filter(project=project)[:SHOWN],
    }
    template = "learning/stream.html#form" if request.headers.get("HX-Request") else "learning/stream.html"
    return render(request, template, context, status=status)


@login_required
@require_POST
def reset_stream(request: HttpRequest, project_id: int) -> HttpResponse:
    project, _ = can_manage(cast(User, request.user), project_id)
    offers.reset(stream=offers.stream_of(project))
    messages.success(request, "The stream begins anew; earlier decisions stay on record.")
    return redirect("learning:stream", project_id)
