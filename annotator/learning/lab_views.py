"""Pages of the strategy lab."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts.models import User
from annotator.common.errors import AnnotatorError
from annotator.common.pagination import key_from, keyset_page
from annotator.learning import catalogue, lab, services
from annotator.learning.lab_data import LEAST_JUDGES, Counts, check_counts, count_labels
from annotator.learning.lab_duration import seconds_left
from annotator.learning.lab_forms import LabForm
from annotator.learning.lab_plan import in_use, left_out, title_in_use
from annotator.learning.lab_results import better_than_used, chart
from annotator.learning.models import Backtest, LearningSettings
from annotator.projects.access import can_inspect, can_manage
from annotator.projects.models import Project

SHOWN = 20


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def lab_page(request: HttpRequest, project_id: int) -> HttpResponse:
    """Backtests there are; managers begin new ones here. `estimate` says how long the choice would take, no more."""
    if request.method != "POST":
        project, can = can_inspect(request.user, project_id)
        return _page(request, project, can, _counts(services.settings_of(project)))
    project, can = can_manage(request.user, project_id)
    chosen = services.settings_of(project)
    counted = _counts(chosen)
    counts, problem = counted
    form = LabForm(request.POST, chosen=chosen, counts=counts)
    asked = "estimate" in request.POST
    context: dict[str, Any] = {}
    if form.is_valid():
        try:
            if problem is not None:
                raise problem
            if not asked:
                backtest = lab.start_backtest(
                    project=project, by=cast(User, request.user), values=form.cleaned_data, counts=counts
                )
                messages.success(request, f"Backtest {backtest.pk} has begun.")
                return redirect("learning:backtest", project_id, backtest.pk)
            _, context["takes"], _ = lab.plan(project, form.cleaned_data, counts)
        except AnnotatorError as error:
            form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
    # Asked while somebody is still choosing, a misfit is an answer and no error.
    asking = asked and bool(request.headers.get("HX-Request"))
    return _page(
        request, project, can, counted, form, context, status=422 if form.errors and not asking else 200
    )


def _page(
    request: HttpRequest,
    project: Project,
    can: Any,
    counted: tuple[Counts, AnnotatorError | None],
    form: LabForm | None = None,
    more: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    chosen = services.settings_of(project)
    counts, problem = counted
    context: dict[str, Any] = {
        "project": project,
        "can": can,
        "active_tab": "evidence",
        "section": "lab",
        "counts": counts,
        "least": LEAST_JUDGES,
        "problem": problem,
        "left_out": left_out(catalogue.task_of(project)),
        **(more or {}),
    }
    if can.manage and problem is None:
        context["form"] = form or LabForm(chosen=chosen, counts=counts)
        if form is None:
            context |= _first_estimate(project, context["form"], counts)
    if request.headers.get("HX-Request"):
        return render(request, "learning/lab.html#form", context, status=status)
    after = request.GET.get("after", "")
    page = keyset_page(
        Backtest.objects.filter(project=project).select_related("job").defer("data"),
        key="pk",
        after=key_from(after),
        size=SHOWN,
        descending=True,
    )
    context |= {"page": page, "after": after, "backtests": page.rows}
    return render(request, "learning/lab.html", context, status=status)


def _first_estimate(project: Project, form: LabForm, counts: Counts) -> dict[str, Any]:
    """How long what the form proposes would take."""
    try:
        return {"takes": lab.plan(project, form.initial, counts)[1]}
    except AnnotatorError:
        return {}


def _counts(chosen: LearningSettings) -> tuple[Counts, AnnotatorError | None]:
    """What there is to replay on, and what is in the way."""
    counts = Counts(0, 0, "random")
    try:
        counts = count_labels(chosen)
        check_counts(counts, chosen.exploration_share)
    except AnnotatorError as error:
        return counts, error
    return counts, None


@login_required
@require_safe
def backtest_page(request: HttpRequest, project_id: int, backtest_id: int) -> HttpResponse:
    """One backtest: how far it is, what it says."""
    project, can = can_inspect(request.user, project_id)
    backtest = lab.backtest_of(project.pk, backtest_id)
    chosen = services.settings_of(project)
    used = in_use(chosen)
    context = {
        "project": project,
        "can": can,
        "active_tab": "evidence",
        "section": "lab",
        "backtest": backtest,
        "job": backtest.job,
        "seconds_left": seconds_left(backtest, list(backtest.runs.defer("scores", "labels"))),
        "title": f"Backtest {backtest.pk}",
        "failed_runs": backtest.runs.exclude(error="")[:10],
        "in_use": used,
        "title_in_use": title_in_use(chosen),
        "better": better_than_used(backtest.result, used),
    }
    template = (
        "learning/backtest.html#body" if request.headers.get("HX-Request") else "learning/backtest.html"
    )
    return render(request, template, context)


@login_required
@require_safe
def backtest_curve(request: HttpRequest, project_id: int, backtest_id: int) -> JsonResponse:
    """The learning curves, for the chart."""
    can_inspect(request.user, project_id)
    backtest = lab.backtest_of(project_id, backtest_id)
    return JsonResponse(chart(backtest, list(backtest.runs.all())))


@login_required
@require_POST
def use_strategy(request: HttpRequest, project_id: int, backtest_id: int) -> HttpResponse:
    """The named strategy becomes the project's."""
    can_manage(request.user, project_id)
    backtest = lab.backtest_of(project_id, backtest_id)
    settings = lab.use_strategy(
        backtest=backtest, name=request.POST.get("name", ""), by=cast(User, request.user)
    )
    messages.success(request, f"{title_in_use(settings)} is in use. The queue follows with the next round.")
    return redirect("learning:backtest", project_id, backtest_id)


@login_required
@require_POST
def resume_backtest(request: HttpRequest, project_id: int, backtest_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    lab.resume_backtest(backtest=lab.backtest_of(project_id, backtest_id), by=cast(User, request.user))
    messages.success(request, "It goes on where it stopped.")
    return redirect("learning:backtest", project_id, backtest_id)


@login_required
@require_POST
def cancel_backtest(request: HttpRequest, project_id: int, backtest_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    lab.cancel_backtest(backtest=lab.backtest_of(project_id, backtest_id))
    messages.success(request, "It will stop; the runs that ended are kept.")
    return redirect("learning:backtest", project_id, backtest_id)


@login_required
@require_POST
def delete_backtest(request: HttpRequest, project_id: int, backtest_id: int) -> HttpResponse:
    can_manage(request.user, project_id)
    lab.delete_backtest(backtest=lab.backtest_of(project_id, backtest_id))
    messages.success(request, f"Backtest {backtest_id} was deleted.")
    return redirect("learning:lab", project_id)
