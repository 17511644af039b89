from __future__ import annotations

from django.urls import include, path

from annotator.projects import member_views, schema_views, views

app_name = "projects"

project = [
    path("settings/", views.settings, name="settings"),
    path("settings/archive/", views.archive, name="archive"),
    path("settings/unarchive/", views.unarchive, name="unarchive"),
    path("settings/delete/", views.delete, name="delete"),
    path("members/", member_views.members, name="members"),
    path("members/<int:user_id>/role/", member_views.change_role, name="change_role"),
    path("members/<int:user_id>/remove/", member_views.remove, name="remove_member"),
    path("invitations/", member_views.invite, name="invite"),
    path("invitations/<int:invitation_id>/revoke/", member_views.revoke_invitation, name="revoke_invitation"),
    path("schema/", schema_views.edit, name="schema"),
]

urlpatterns = [
    path("projects/", views.project_list, name="list"),
    path("projects/new/", views.create, name="create"),
    path("projects/<int:project_id>/", include(project)),
    path("invitations/<str:token>/", member_views.accept_invitation, name="accept_invitation"),
]
