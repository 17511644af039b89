"""The API of members and invitations; managers only."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import after_of, parsed
from annotator.common.pagination import keyset_page
from annotator.projects import access, membership, selectors, serializers

PAGE = 100
AFTER = OpenApiParameter("after", int, description="`next` of the page before.")


@extend_schema(
    methods=["GET"], operation_id="members_list", parameters=[AFTER], responses=serializers.MembersPage
)
@extend_schema(
    methods=["POST"],
    operation_id="members_add",
    request=serializers.MemberIn,
    responses={201: serializers.MemberOut},
)
@api_view(["GET", "POST"])
def members(request: Request, project_id: int) -> Response:
    """GET lists the members by id. POST makes an existing person a member."""
    project, _ = access.can_manage(request.user, project_id)
    if request.method == "POST":
        member = membership.add_member(
            project=project, by=current_user(request), **parsed(serializers.MemberIn, request)
        )
        return Response(serializers.MemberOut(member).data, status=201)
    page = keyset_page(selectors.members(project), key="user_id", after=after_of(request), size=PAGE)
    return Response({"results": serializers.MemberOut(page.rows, many=True).data, "next": page.next_after})


@extend_schema(
    methods=["PATCH"],
    operation_id="members_change_role",
    request=serializers.RoleIn,
    responses=serializers.MemberOut,
)
@extend_schema(methods=["DELETE"], operation_id="members_remove", responses={204: None})
@api_view(["PATCH", "DELETE"])
def member(request: Request, project_id: int, user_id: int) -> Response:
    """PATCH gives a member another role, DELETE ends the membership. Answers stay."""
    project, _ = access.can_manage(request.user, project_id)
    by = current_user(request)
    if request.method == "DELETE":
        membership.remove_member(project=project, user_id=user_id, by=by)
        return Response(status=204)
    role = parsed(serializers.RoleIn, request)["role"]
    changed = membership.change_role(project=project, user_id=user_id, role=role, by=by)
    return Response(serializers.MemberOut(changed).data)


@extend_schema(
    methods=["GET"],
    operation_id="invitations_list",
    parameters=[AFTER],
    responses=serializers.InvitationsPage,
)
@extend_schema(
    methods=["POST"],
    operation_id="invitations_create",
    request=serializers.InvitationIn,
    responses={201: serializers.NewInvitationOut},
)
@api_view(["GET", "POST"])
def invitations(request: Request, project_id: int) -> Response:
    """GET lists the links that somebody could still follow. POST makes one and shows it, this once."""
    project, _ = access.can_manage(request.user, project_id)
    if request.method == "POST":
        made, plain = membership.invite(
            project=project, by=current_user(request), **parsed(serializers.InvitationIn, request)
        )
        link = request.build_absolute_uri(reverse("projects:accept_invitation", args=[plain]))
        return Response({**serializers.InvitationOut(made).data, "link": link}, status=201)
    page = keyset_page(
        selectors.open_invitations(project), key="id", after=after_of(request), size=PAGE, descending=True
    )
    return Response(
        {"results": serializers.InvitationOut(page.rows, many=True).data, "next": page.next_after}
    )


@extend_schema(operation_id="invitations_revoke", responses={204: None})
@api_view(["DELETE"])
def invitation(request: Request, project_id: int, invitation_id: int) -> Response:
    """Makes a link worthless that nobody used yet."""
    project, _ = access.can_manage(request.user, project_id)
    membership.revoke_invitation(project=project, invitation_id=invitation_id)
    return Response(status=204)
