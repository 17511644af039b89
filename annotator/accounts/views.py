"""Pages about oneself: sign-in, password, profile, tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login as start_session
from django.contrib.auth import logout as end_session
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator.accounts import selectors, services
from annotator.accounts.forms import ChangePasswordForm, ProfileForm, SignInForm, TokenForm
from annotator.accounts.middleware import SESSION_KEY
from annotator.accounts.models import User
from annotator.common.clients import client_address, is_shared
from annotator.common.errors import AnnotatorError


def signed_in(request: HttpRequest) -> User:
    """The person behind a page that `login_required` guards."""
    assert isinstance(request.user, User)
    return request.user


def sign_in(request: HttpRequest, user: User) -> None:
    """Start the person's session, bound to a fresh key."""
    start_session(request, user, backend="django.contrib.auth.backends.ModelBackend")
    if user.must_change_password:
        request.session[SESSION_KEY] = True


def next_page(request: HttpRequest) -> str:
    """Where to go after sign-in: a page of this site only."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else resolve_url(settings.LOGIN_REDIRECT_URL)


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(next_page(request))
    form, status = SignInForm(request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                user = services.check_password(
                    request=request,
                    address=client_address(request),
                    shared=is_shared(request),
                    **form.cleaned_data,
                )
            except AnnotatorError as error:
                form.add_error(None, " ".join(filter(None, [error.message, error.hint])))
                status = error.status
            else:
                sign_in(request, user)
                return redirect(next_page(request))
    context = {"form": form, "next": next_page(request)}
    return render(request, "accounts/login.html", context, status=status)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    end_session(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def password_change(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    form = ChangePasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.change_password(user=user, password=form.cleaned_data["password1"])
        update_session_auth_hash(request, user)
        forced = request.session.pop(SESSION_KEY, False)
        messages.success(request, "Your password is changed. Other sessions have ended.")
        return redirect("projects:list" if forced else "accounts:profile")
    context = {"form": form, "forced": request.session.get(SESSION_KEY, False)}
    return render(request, "accounts/password_change.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return _profile(request, form=form, status=422 if form.errors else 200)


@never_cache
@login_required
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Makes a token and shows it, this once: it is in this answer and nowhere else."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _profile(request, token_form=form, status=422)
    token, plain = services.create_token(user=signed_in(request), **form.cleaned_data)
    return _profile(request, new_token=token, plain=plain)


@login_required
@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    services.revoke_token(user=signed_in(request), token_id=token_id)
    messages.success(request, "The token is revoked.")
    return redirect("accounts:profile")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return redirect("projects:list")


def _profile(
    request: HttpRequest,
    *,
    form: ProfileForm | None = None,
    token_form: TokenForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    user = signed_in(request)
    context = {
        "form": form or ProfileForm(instance=user),
        "token_form": token_form or TokenForm(),
        "tokens": selectors.tokens_of(user),
        **more,
    }
    return render(request, "accounts/profile.html", context, status=status)
