"""One's own page: name, password, tokens."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotator.accounts import services
from annotator.accounts.models import ApiToken, User
from annotator.common.errors import Conflict
from tests.factories import make_user

PASSWORD = "correct horse battery"
OWN = "a new and longer one"

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user()


@pytest.fixture
def page(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def change(page: Client, **fields: str):
    values = {"old_password": PASSWORD, "password1": OWN, "password2": OWN} | fields
    return page.post(reverse("accounts:password_change"), values)


def test_names_can_be_changed_and_the_user_name_cannot(page, user):
    page.post(reverse("accounts:profile"), {"first_name": "Ada", "username": "root", "is_superuser": "on"})
    user.refresh_from_db()
    assert user.first_name == "Ada"
    assert user.username != "root"
    assert not user.is_superuser


def test_a_changed_password_keeps_this_session_and_ends_the_others(page, user):
    other = Client()
    other.force_login(user)
    assert change(page).status_code == 302
    assert page.get(reverse("accounts:profile")).status_code == 200
    assert other.get(reverse("accounts:profile")).status_code == 302
    user.refresh_from_db()
    assert user.check_password(OWN)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"old_password": "wrong"}, "not your current password"),
        ({"password2": "another one entirely"}, "passwords differ"),
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"password1": "password1234", "password2": "password1234"}, "too common"),
        ({"password1": PASSWORD, "password2": PASSWORD}, "choose another"),
    ],
)
def test_a_password_is_refused_in_words(page, user, fields, words):
    answer = change(page, **fields)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_password_like_the_name_is_refused():
    client = Client()
    client.force_login(make_user("bartholomew"))
    assert (
        "too similar" in change(client, password1="bartholomew1", password2="bartholomew1").content.decode()
    )


def test_a_token_is_shown_once_and_opens_the_api(page, user):
    answer = page.post(reverse("accounts:create_token"), {"name": "script", "scopes": ["read"], "days": "30"})
    found = re.search(r'<code id="new-token">([^<]+)</code>', answer.content.decode())
    assert found
    assert "no-store" in answer["Cache-Control"]
    assert found[1] not in page.get(reverse("accounts:profile")).content.decode()
    assert not ApiToken.objects.filter(digest__contains=found[1]).exists()
    me = Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {found[1]}"})
    assert me.json()["username"] == user.username
    token = ApiToken.objects.get(user=user)
    assert token.last_used_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)


def test_a_token_may_live_for_ever(page, user):
    page.post(
        reverse("accounts:create_token"), {"name": "script", "scopes": ["read", "annotate"], "days": "never"}
    )
    assert ApiToken.objects.get(user=user).expires_at is None


@pytest.mark.parametrize("fields", [{"name": ""}, {"scopes": ["admin"]}, {"scopes": []}, {"days": "9999999"}])
def test_a_token_with_wrong_fields_is_not_made(page, user, fields):
    values = {"name": "script", "scopes": ["read"], "days": "30"} | fields
    assert page.post(reverse("accounts:create_token"), values).status_code == 422
    assert not user.api_tokens.exists()


def test_a_revoked_token_opens_nothing(page, user):
    token, plain = services.create_token(user=user, name="script")
    page.post(reverse("accounts:revoke_token", args=[token.pk]))
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401


def test_tokens_of_others_cannot_be_revoked(page):
    token, _ = services.create_token(user=make_user(), name="script")
    assert page.post(reverse("accounts:revoke_token", args=[token.pk])).status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_there_is_an_end_to_tokens(user):
    for n in range(services.MAX_TOKENS):
        services.create_token(user=user, name=str(n))
    with pytest.raises(Conflict, match="tokens already"):
        services.create_token(user=user, name="one more")


def test_the_profile_of_nobody_asks_to_sign_in():
    for name in ("profile", "password_change"):
        assert "/login/" in Client().get(reverse(f"accounts:{name}"))["Location"]
