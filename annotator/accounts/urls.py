from __future__ import annotations

from django.urls import path

from annotator.accounts import people, views

app_name = "accounts"
urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("profile/", views.profile, name="profile"),
    path("profile/password/", views.password_change, name="password_change"),
    path("profile/tokens/", views.create_token, name="create_token"),
    path("profile/tokens/<int:token_id>/revoke/", views.revoke_token, name="revoke_token"),
    path("people/", people.people, name="people"),
    path("people/<int:user_id>/password/", people.reset_password, name="reset_password"),
    path("people/<int:user_id>/deactivate/", people.deactivate, name="deactivate"),
    path("people/<int:user_id>/reactivate/", people.reactivate, name="reactivate"),
    path("people/<int:user_id>/administrator/", people.set_administrator, name="set_administrator"),
]
