"""Pages about who works on a project: members, invitations, and the page behind an invitation link."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotator.accounts.forms import SignUpForm
from annotator.accounts.models import User
from annotator.accounts.views import sign_in, signed_in
from annotator.common.errors import Conflict, Invalid
from annotator.projects import access, membership, selectors
from annotator.projects.forms import InvitationForm, MemberForm, RoleForm
from annotator.projects.models import Membership, Project, Role

SUGGESTED_PEOPLE = 200


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def members(request: HttpRequest, project_id: int) -> HttpResponse:
    """The list; POST adds an existing person."""
    project, can = access.can_manage(request.user, project_id)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            member = membership.add_member(project=project, by=signed_in(request), **form.cleaned_data)
        except (Invalid, Conflict) as error:
            form.add_error("username", " ".join(filter(None, [error.message, error.hint])))
        else:
            messages.success(request, f"{member.user.username} is a member now.")
            return redirect("projects:members", project_id)
    return _page(request, project, can, form=form, status=422 if form.errors else 200)


@login_required
@require_POST
def change_role(request: HttpRequest, project_id: int, user_id: int) -> HttpResponse:
    project, _ = access.can_manage(request.user, project_id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Invalid("There is no such role.")
    member = membership.change_role(
        project=project, user_id=user_id, by=signed_in(request), **form.cleaned_data
    )
    messages.success(request, f"{member.user.username} is now {Role(member.role).label.lower()}.")
    return redirect("projects:members", project_id)


@login_required
@require_POST
def remove(request: HttpRequest, project_id: int, user_id: int) -> HttpResponse:
    project, _ = access.can_manage(request.user, project_id)
    membership.remove_member(project=project, user_id=user_id, by=signed_in(request))
    messages.success(request, "The membership has ended. Answers given so far stay.")
    return redirect("projects:list" if user_id == signed_in(request).pk else members_url(project_id))


@never_cache
@login_required
@require_POST
def invite(request: HttpRequest, project_id: int) -> HttpResponse:
    """Makes a link and shows it, this once: it is in this answer and nowhere else."""
    project, can = access.can_manage(request.user, project_id)
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, project, can, invitation_form=form, status=422)
    invitation, plain = membership.invite(project=project, by=signed_in(request), **form.cleaned_data)
    link = request.build_absolute_uri(reverse("projects:accept_invitation", args=[plain]))
    return _page(request, project, can, new_invitation=invitation, link=link)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, project_id: int, invitation_id: int) -> HttpResponse:
    project, _ = access.can_manage(request.user, project_id)
    membership.revoke_invitation(project=project, invitation_id=invitation_id)
    messages.success(request, "The link opens nothing any more.")
    return redirect("projects:members", project_id)


@sensitive_post_parameters("password1", "password2")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where a link leads: a signed-in person joins, a new one makes an account first."""
    invitation = membership.find_invitation(token)
    if isinstance(request.user, User):
        return _join(request, request.user, token, invitation.project)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save(commit=False)
        try:
            project = membership.join_as_new_person(
                token=token, user=user, password=form.cleaned_data["password1"]
            )
        except Conflict as error:
            form.add_error("username", error.message)
        else:
            sign_in(request, user)
            messages.success(request, f"Welcome. You are a member of “{project.name}”.")
            return redirect("workspace:dashboard", project.pk)
    context = {"invitation": invitation, "form": form, "here": request.path}
    return render(request, "projects/invitation.html", context, status=422 if form.errors else 200)


def members_url(project_id: int) -> str:
    return reverse("projects:members", args=[project_id])


def _join(request: HttpRequest, user: User, token: str, project: Project) -> HttpResponse:
    member = Membership.objects.filter(project=project, user=user).exists()
    if request.method == "POST":
        membership.accept_invitation(token=token, user=user)
        messages.success(request, f"You are a member of “{project.name}”.")
        return redirect("workspace:dashboard", project.pk)
    context = {"invitation": membership.find_invitation(token), "member": member, "joining": user}
    return render(request, "projects/invitation.html", context)


def _page(
    request: HttpRequest,
    project: Project,
    can: access.Can,
    *,
    form: MemberForm | None = None,
    invitation_form: InvitationForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    context = {
        "project": project,
        "can": can,
        "active_tab": "members",
        "members": selectors.members(project),
        "roles": [r for r in Role if can.own or r != Role.OWNER],
        "form": form or MemberForm(),
        "people": selectors.people_to_add(project)[:SUGGESTED_PEOPLE],
        "invitation_form": invitation_form or InvitationForm(),
        "invitations": selectors.open_invitations(project),
        "past_invitations": selectors.past_invitations(project)[:20],
        **more,
    }
    return render(request, "projects/members.html", context, status=status)
