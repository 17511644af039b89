"""Pages of administrators: who has an account."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotator.accounts import selectors, services
from annotator.accounts.forms import NewPersonForm
from annotator.accounts.models import User
from annotator.accounts.views import signed_in
from annotator.common.errors import Forbidden, NotFound

View = Callable[..., HttpResponse]
FILTERS: dict[str, bool | None] = {"active": True, "inactive": False, "all": None}
PAGE = 50


def administrators_only(view: View) -> View:
    """Strangers sign in first; signed-in people without the right get 403."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_superuser:
            raise Forbidden("Only administrators manage people.")
        return view(request, *args, **kwargs)

    return login_required(guarded)


@never_cache
@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """The list; POST makes a person and shows their one-time password, this once."""
    form = NewPersonForm(request.POST or None)
    if request.method == "POST":
        if not form.is_valid():
            return _page(request, form=form, status=422)
        user, password = services.create_person(by=signed_in(request), **form.cleaned_data)
        return _page(request, person=user, password=password, made=True)
    return _page(request)


@never_cache
@administrators_only
@require_POST
def reset_password(request: HttpRequest, user_id: int) -> HttpResponse:
    user = _person(user_id)
    return _page(request, person=user, password=services.reset_password(user=user, by=signed_in(request)))


@administrators_only
@require_POST
def deactivate(request: HttpRequest, user_id: int) -> HttpResponse:
    user = _person(user_id)
    services.deactivate(user=user, by=signed_in(request))
    messages.success(request, f"{user.username} is deactivated; their sessions and tokens have ended.")
    return redirect("accounts:people")


@never_cache
@administrators_only
@require_POST
def reactivate(request: HttpRequest, user_id: int) -> HttpResponse:
    user = _person(user_id)
    return _page(request, person=user, password=services.reactivate(user=user, by=signed_in(request)))


@administrators_only
@require_POST
def set_administrator(request: HttpRequest, user_id: int) -> HttpResponse:
    user, administrator = _person(user_id), request.POST.get("administrator") == "1"
    services.set_administrator(user=user, administrator=administrator, by=signed_in(request))
    messages.success(
        request, f"{user.username} is {'now' if administrator else 'no longer'} an administrator."
    )
    return redirect("accounts:people")


def _person(user_id: int) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such person.")
    return user


def _page(
    request: HttpRequest, *, form: NewPersonForm | None = None, status: int = 200, **more: Any
) -> HttpResponse:
    show = request.GET.get("show", "active")
    search = request.GET.get("q", "")[:100]
    found = selectors.people(search=search, active=FILTERS.get(show, True))
    context = {
        "form": form or NewPersonForm(),
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "show": show if show in FILTERS else "active",
        "search": search,
        "filters": FILTERS,
        **more,
    }
    return render(request, "accounts/people.html", context, status=status)
