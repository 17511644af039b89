"""Sign-in, sign-out, and how long guessing takes."""

from __future__ import annotations

import time

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts import throttle
from annotator.accounts.models import User
from tests.factories import make_user

PASSWORD = "correct horse battery"
LOGIN = "/login/"

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str, password: str = PASSWORD, **more):
    return client.post(LOGIN, {"username": username, "password": password, **more})


def test_the_right_password_opens_the_projects():
    user = make_user()
    client = Client()
    answer = sign_in(client, user.username)
    assert answer.status_code == 302
    assert answer["Location"] == reverse("projects:list")
    assert client.session["_auth_user_id"] == str(user.pk)


def test_a_wrong_password_opens_nothing_and_does_not_say_what_was_wrong():
    user = make_user()
    client = Client()
    known, unknown = sign_in(client, user.username, "wrong"), sign_in(client, "nobody", "wrong")
    assert known.status_code == unknown.status_code == 422
    assert "_auth_user_id" not in client.session
    assert "do not fit" in known.content.decode()
    assert "do not fit" in unknown.content.decode()


def test_a_deactivated_person_cannot_sign_in():
    user = make_user(is_active=False)
    assert sign_in(Client(), user.username).status_code == 422


def test_the_session_key_changes_at_sign_in():
    user = make_user()
    client = Client()
    client.get(LOGIN)
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before
    sign_in(client, user.username)
    assert client.session.session_key != before


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_sign_in_leads_to_this_site_only(wanted):
    user = make_user()
    assert sign_in(Client(), user.username, next=wanted)["Location"] == reverse("projects:list")


def test_sign_in_leads_back_to_the_page_that_asked_for_it():
    user = make_user()
    assert sign_in(Client(), user.username, next="/profile/")["Location"] == "/profile/"


def test_pages_send_strangers_to_the_sign_in_page():
    answer = Client().get(reverse("projects:list"))
    assert answer["Location"] == f"{LOGIN}?next=/projects/"


def test_signing_out_needs_a_post():
    user = make_user()
    client = Client()
    client.force_login(user)
    assert client.get(reverse("accounts:logout")).status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post(reverse("accounts:logout")).status_code == 302
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("url", [LOGIN, "/logout/"])
def test_forms_without_the_csrf_token_are_refused(url):
    user = make_user()
    client = Client(enforce_csrf_checks=True)
    answer = client.post(url, {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 403
    assert "out of date" in answer.content.decode()


def test_too_many_failures_make_the_right_password_wait_too():
    user = make_user()
    client = Client()
    for _ in range(throttle.FREE_FAILURES):
        assert sign_in(client, user.username, "wrong").status_code == 422
    answer = sign_in(client, user.username)
    assert answer.status_code == 429
    assert "Try again in 30 seconds" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_other_addresses_and_other_accounts_do_not_wait():
    user, other = make_user(), make_user()
    for _ in range(throttle.FREE_FAILURES):
        sign_in(Client(), user.username, "wrong")
    assert sign_in(Client(REMOTE_ADDR="10.0.0.7"), user.username).status_code == 302
    assert sign_in(Client(), other.username).status_code == 302


def test_the_spelling_of_the_name_does_not_start_a_new_count():
    user = make_user("Carla")
    for spelling in ("carla", "CARLA", "Carla", "cArla", "carlA"):
        sign_in(Client(), spelling, "wrong")
    assert sign_in(Client(), user.username).status_code == 429


def test_a_success_forgets_the_failures():
    user = make_user()
    for _ in range(2):
        for _ in range(throttle.FREE_FAILURES - 1):
            sign_in(Client(), user.username, "wrong")
        assert sign_in(Client(), user.username).status_code == 302


def test_the_wait_doubles_and_ends(monkeypatch):
    user = make_user()
    now = time.time()
    monkeypatch.setattr(throttle.time, "time", lambda: now)
    attempt = {"username": user.username, "address": "10.0.0.1"}
    for _ in range(throttle.FREE_FAILURES):
        throttle.begin_attempt(**attempt)
    waits = []
    for _ in range(8):
        with pytest.raises(throttle.TooManyAttempts) as refused:
            throttle.begin_attempt(**attempt)
        waits.append(refused.value.extra["retry_after"] - 1)
        now += waits[-1] + 1
        throttle.begin_attempt(**attempt)
    assert waits[:5] == [30, 60, 120, 240, 480]
    assert max(waits) == throttle.LONGEST_WAIT


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (29.6, "30 seconds"), (61, "about 1 minute"), (890, "about 15 minutes")],
)
def test_waits_are_told_in_words(seconds, words):
    assert throttle.in_words(seconds) == words


def test_sessions_of_a_deleted_row_end():
    user = make_user()
    client = Client()
    client.force_login(user)
    User.objects.filter(pk=user.pk).delete()
    assert client.get(reverse("accounts:profile")).status_code == 302
