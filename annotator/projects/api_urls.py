from __future__ import annotations

from django.urls import include, path

from annotator.projects import api, member_api

project = [
    path("", api.project, name="project"),
    path("schema/", api.schema, name="project_schema"),
    path("schema/versions/", api.schema_versions, name="schema_versions"),
    path("schema/preview/", api.schema_preview, name="schema_preview"),
    path("members/", member_api.members, name="members"),
    path("members/<int:user_id>/", member_api.member, name="member"),
    path("invitations/", member_api.invitations, name="invitations"),
    path("invitations/<int:invitation_id>/", member_api.invitation, name="invitation"),
]

urlpatterns = [
    path("projects/", api.projects, name="projects"),
    path("invitations/accept/", member_api.accept, name="accept_invitation"),
    path("projects/<int:project_id>/", include(project)),
]
