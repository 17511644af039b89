"""The API of members and invitations; managers only, but for following an invitation."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.errors import NotFound
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import MANAGE, READ, needs
from annotator.projects import access, membership, selectors, serializers
from annotator.projects.models import Membership, Project


@extend_schema(
    methods=["GET"],
    operation_id="members_list",
    parameters=[PageQuery],
    responses=page_out("MembersPage", serializers.MemberOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="members_add",
    request=serializers.MemberIn,
    responses={201: serializers.MemberOut},
    examples=[OpenApiExample("An annotator", {"username": "ada", "role": "annotator"}, request_only=True)],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def members(request: Request, project_id: int) -> Response:
    """GET lists the members by id. POST makes an existing person a member."""
    project, _ = access.can_manage(request.user, project_id)
    if request.method == "POST":
        member = membership.add_member(
            project=project, by=current_user(request), **parsed(serializers.MemberIn, request)
        )
        return Response(serializers.MemberOut(member).data, status=201)
    return listed(
        request,
        selectors.members(project),
        queried(PageQuery, request),
        lambda rows: list(serializers.MemberOut(rows, many=True).data),
        key="user_id",
        descending=False,
    )


@extend_schema(methods=["GET"], operation_id="members_get", responses=serializers.MemberOut)
@extend_schema(
    methods=["PATCH"],
    operation_id="members_change_role",
    request=serializers.RoleIn,
    responses=serializers.MemberOut,
)
@extend_schema(methods=["DELETE"], operation_id="members_remove", responses={204: None})
@api_view(["GET", "PATCH", "DELETE"])
@needs(GET=READ, PATCH=MANAGE, DELETE=MANAGE, tagged=True)
def member(request: Request, project_id: int, user_id: int) -> Response:
    """One member. PATCH gives another role, DELETE ends the membership. Answers stay."""
    project, _ = access.can_manage(request.user, project_id)
    if request.method == "GET":
        return tagged(request, dict(serializers.MemberOut(_member(project, user_id)).data))
    by = current_user(request)
    with edit_lock(project_id):
        check_match(request, dict(serializers.MemberOut(_member(project, user_id)).data))
        if request.method == "DELETE":
            membership.remove_member(project=project, user_id=user_id, by=by)
            return Response(status=204)
        role = parsed(serializers.RoleIn, request)["role"]
        changed = membership.change_role(project=project, user_id=user_id, role=role, by=by)
    return tagged(request, dict(serializers.MemberOut(changed).data))


@extend_schema(
    methods=["GET"],
    operation_id="invitations_list",
    parameters=[PageQuery],
    responses=page_out("InvitationsPage", serializers.InvitationOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="invitations_create",
    request=serializers.InvitationIn,
    responses={201: serializers.NewInvitationOut},
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent("link")
def invitations(request: Request, project_id: int) -> Response:
    """GET lists the links that somebody could still follow. POST makes one and shows it, this once."""
    project, _ = access.can_manage(request.user, project_id)
    if request.method == "POST":
        made, plain = membership.invite(
            project=project, by=current_user(request), **parsed(serializers.InvitationIn, request)
        )
        link = request.build_absolute_uri(reverse("projects:accept_invitation", args=[plain]))
        return Response({**serializers.InvitationOut(made).data, "link": link}, status=201)
    return listed(
        request,
        selectors.open_invitations(project),
        queried(PageQuery, request),
        lambda rows: list(serializers.InvitationOut(rows, many=True).data),
    )


@extend_schema(operation_id="invitations_revoke", responses={204: None})
@api_view(["DELETE"])
@needs(DELETE=MANAGE)
def invitation(request: Request, project_id: int, invitation_id: int) -> Response:
    """Makes a link worthless that nobody used yet."""
    project, _ = access.can_manage(request.user, project_id)
    membership.revoke_invitation(project=project, invitation_id=invitation_id)
    return Response(status=204)


@extend_schema(
    operation_id="invitations_accept", request=serializers.AcceptIn, responses={200: serializers.MemberOut}
)
@api_view(["POST"])
@needs(POST=MANAGE)
def accept(request: Request) -> Response:
    """Follow an invitation with one's own account; who is a member already keeps their role."""
    user = current_user(request)
    joined = membership.accept_invitation(token=parsed(serializers.AcceptIn, request)["token"], user=user)
    return Response(serializers.MemberOut(_member(joined, user.pk)).data)


def _member(project: Project, user_id: int) -> Membership:
    found = project.memberships.select_related("user").filter(user_id=user_id).first()
    if found is None:
        raise NotFound("This person is no member.")
    return found
