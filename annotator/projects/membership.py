"""Who works on a project: members, and links that invite new ones."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from annotator.accounts.models import User, token_digest
from annotator.accounts.services import save_new_user
from annotator.common.errors import AnnotatorError, Conflict, Forbidden, Invalid, NotFound
from annotator.projects import selectors
from annotator.projects.access import MANAGERS, role_in
from annotator.projects.models import Invitation, Membership, Project, Role

LONGEST_INVITATION = 90  # days


class Gone(AnnotatorError):
    code, status = "gone", 410


def add_member(*, project: Project, username: str, role: str, by: User) -> Membership:
    """Make an existing person a member."""
    _may_grant(by, project, Role(role))
    user = User.objects.filter(username__iexact=username.strip(), is_active=True).first()
    if user is None:
        raise Invalid(
            f"There is no active person named {username.strip()!r}.",
            code="unknown_person",
            hint="Send an invitation link to somebody who has no account yet.",
        )
    member, made = Membership.objects.get_or_create(project=project, user=user, defaults={"role": role})
    if not made:
        raise Conflict(f"{user.username} is a member already.", code="already_member")
    return member


def change_role(*, project: Project, user_id: int, role: str, by: User) -> Membership:
    """Give a member another role."""
    with transaction.atomic():
        member = _locked_member(project, user_id)
        _may_grant(by, project, Role(role))
        _may_grant(by, project, Role(member.role))
        if role != Role.OWNER:
            _keep_an_owner(project, member)
        member.role = role
        member.save(update_fields=["role"])
    return member


def remove_member(*, project: Project, user_id: int, by: User) -> None:
    """End a membership. The person's answers stay, and stay theirs."""
    with transaction.atomic():
        member = _locked_member(project, user_id)
        _may_grant(by, project, Role(member.role))
        _keep_an_owner(project, member)
        member.delete()


def invite(*, project: Project, role: str, days: int, by: User, note: str = "") -> tuple[Invitation, str]:
    """A link for one person; returns it and its secret, which is stored nowhere."""
    if role == Role.OWNER:
        raise Invalid("An owner cannot be invited by link.", hint="Change the role once they joined.")
    _may_grant(by, project, Role(role))
    if not 1 <= days <= LONGEST_INVITATION:
        raise Invalid(f"A link lives between 1 and {LONGEST_INVITATION} days.", code="bad_days")
    plain = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        note=note,
        digest=token_digest(plain),
        invited_by=by,
        expires_at=timezone.now() + timedelta(days=days),
    )
    return invitation, plain


def revoke_invitation(*, project: Project, invitation_id: int) -> None:
    """Make a link that nobody used yet worthless."""
    gone, _ = Invitation.objects.filter(project=project, pk=invitation_id, accepted_at=None).delete()
    if not gone:
        raise NotFound("There is no such open invitation.", hint="It may have been used or revoked already.")


def find_invitation(token: str) -> Invitation:
    """The invitation behind a link, or an error that says why it opens nothing."""
    invitation = (
        Invitation.objects.select_related("project", "invited_by")
        .filter(digest=token_digest(token), project__deleted_at=None, invited_by__is_active=True)
        .first()
    )
    ask = "Ask the person who sent it for a new one."
    # A link is as good as its sender: those who lost the right to invite must not keep a way back in.
    if invitation is None or role_in(invitation.invited_by, invitation.project_id) not in MANAGERS:
        raise NotFound("This invitation is not valid.", hint=f"It may have been withdrawn. {ask}")
    if invitation.accepted_at:
        raise Gone(
            "This invitation was used already.", code="invitation_used", hint="A link serves one person."
        )
    if invitation.expires_at <= timezone.now():
        raise Gone("This invitation has run out.", code="invitation_expired", hint=ask)
    return invitation


def accept_invitation(*, token: str, user: User) -> Project:
    """Join with one's account. A member keeps their role, and the link stays good for somebody else."""
    with transaction.atomic():
        invitation = find_invitation(token)
        _, made = Membership.objects.get_or_create(
            project=invitation.project, user=user, defaults={"role": invitation.role}
        )
        if made:
            _use(invitation, user)
    return invitation.project


def join_as_new_person(*, token: str, user: User, password: str) -> Project:
    """Make the account `user` (not yet stored) and join with it: both or none."""
    with transaction.atomic():
        invitation = find_invitation(token)
        save_new_user(user, password)
        Membership.objects.create(project=invitation.project, user=user, role=invitation.role)
        _use(invitation, user)
    return invitation.project


def _use(invitation: Invitation, user: User) -> None:
    # Conditional: of two people who follow one link at once, one joins.
    used = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(
        accepted_at=timezone.now(), accepted_by=user
    )
    if not used:
        raise Gone(
            "This invitation was used already.", code="invitation_used", hint="A link serves one person."
        )


def _may_grant(by: User, project: Project, role: Role) -> None:
    """Managers give and take every role but the owner's."""
    mine = role_in(by, project.pk)
    if mine not in (Role.OWNER, Role.MANAGER) or (role == Role.OWNER and mine != Role.OWNER):
        raise Forbidden("Only owners decide who is an owner.", hint="Ask the project's owner.")


def _locked_member(project: Project, user_id: int) -> Membership:
    # All owners are locked in one order, so that two cannot leave together.
    list(project.memberships.select_for_update().order_by("pk").values_list("pk", flat=True))
    member = project.memberships.filter(user_id=user_id).select_related("user").first()
    if member is None:
        raise NotFound("This person is no member.")
    return member


def _keep_an_owner(project: Project, member: Membership) -> None:
    if not selectors.owners(project).exclude(pk=member.pk).exists() and member.role == Role.OWNER:
        raise Conflict(
            "A project needs an owner.", code="last_owner", hint="Make somebody else an owner first."
        )
