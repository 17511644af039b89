"""Administrators and the accounts of others: made, reset, closed, opened again."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts import services
from annotator.accounts.models import ApiToken, User
from annotator.common.errors import Conflict, Forbidden
from tests.factories import make_user

PASSWORD = "correct horse battery"
OWN = "a new and longer one"

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def make_admin() -> User:
    return make_user(is_staff=True, is_superuser=True)


def shown_password(answer) -> str:
    found = re.search(r'<code id="one-time-password">([^<]+)</code>', answer.content.decode())
    assert found
    return found[1]


def test_a_new_person_gets_a_password_that_is_shown_once():
    admin = client_of(make_admin())
    answer = admin.post(reverse("accounts:people"), {"username": "nina", "first_name": "Nina"})
    password = shown_password(answer)
    assert User.objects.get(username="nina").check_password(password)
    assert "no-store" in answer["Cache-Control"]
    assert password not in admin.get(reverse("accounts:people")).content.decode()


def test_names_are_taken_in_every_spelling():
    make_user("Nina")
    answer = client_of(make_admin()).post(reverse("accounts:people"), {"username": "nina"})
    assert answer.status_code == 422
    assert "taken" in answer.content.decode()
    with pytest.raises(Conflict):
        services.create_person(username="NINA", by=make_admin())


def test_a_one_time_password_opens_only_the_page_that_asks_for_another():
    user, password = services.create_person(username="omar", by=make_admin())
    client = Client()
    client.post("/login/", {"username": "omar", "password": password})
    assert client.get(reverse("projects:list"))["Location"] == reverse("accounts:password_change")
    refused = client.get("/api/v1/me/")
    assert (refused.status_code, refused.json()["code"]) == (403, "password_change_required")
    page = client.get(reverse("accounts:password_change"))
    assert "Choose your own password" in page.content.decode()
    change = {"old_password": password, "password1": OWN, "password2": OWN}
    assert client.post(reverse("accounts:password_change"), change).status_code == 302
    assert client.get(reverse("projects:list")).status_code == 200
    user.refresh_from_db()
    assert not user.must_change_password


def test_a_reset_ends_sessions_and_the_old_password():
    user, admin = make_user(), make_admin()
    session = client_of(user)
    answer = client_of(admin).post(reverse("accounts:reset_password", args=[user.pk]))
    assert session.get(reverse("accounts:profile")).status_code == 302
    user.refresh_from_db()
    assert not user.check_password(PASSWORD)
    assert user.check_password(shown_password(answer))
    assert user.must_change_password


def test_deactivation_ends_sessions_and_tokens_at_once_and_for_good():
    user, admin = make_user(), make_admin()
    session = client_of(user)
    _, plain = services.create_token(user=user, name="script")
    program = Client(headers={"Authorization": f"Bearer {plain}"})
    assert program.get("/api/v1/me/").status_code == 200
    client_of(admin).post(reverse("accounts:deactivate", args=[user.pk]))
    assert session.get(reverse("accounts:profile")).status_code == 302
    assert program.get("/api/v1/me/").status_code == 401
    assert User.objects.filter(pk=user.pk).exists()
    again = shown_password(client_of(admin).post(reverse("accounts:reactivate", args=[user.pk])))
    assert session.get(reverse("accounts:profile")).status_code == 302
    assert program.get("/api/v1/me/").status_code == 401
    assert Client().post("/login/", {"username": user.username, "password": PASSWORD}).status_code == 422
    assert Client().post("/login/", {"username": user.username, "password": again}).status_code == 302


def test_nobody_deactivates_themselves():
    admin = make_admin()
    make_admin()
    with pytest.raises(Conflict, match="yourself"):
        services.deactivate(user=admin, by=admin)


def test_one_administrator_always_stays():
    first, second = make_admin(), make_admin()
    User.objects.filter(is_superuser=True).exclude(pk__in=[first.pk, second.pk]).update(is_superuser=False)
    services.set_administrator(user=second, administrator=False, by=first)
    with pytest.raises(Conflict, match="must be an administrator"):
        services.set_administrator(user=first, administrator=False, by=first)
    first.refresh_from_db()
    assert first.is_superuser


def test_the_right_to_manage_people_is_given_on_the_page():
    admin, user = make_admin(), make_user()
    page = client_of(admin)
    page.post(reverse("accounts:set_administrator", args=[user.pk]), {"administrator": "1"})
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (True, True)


def test_only_administrators_see_and_change_people():
    user, other = make_user(), make_user()
    page = client_of(user)
    assert page.get(reverse("accounts:people")).status_code == 403
    for name in ("reset_password", "deactivate", "reactivate", "set_administrator"):
        assert page.post(reverse(f"accounts:{name}", args=[other.pk])).status_code == 403
        assert Client().post(reverse(f"accounts:{name}", args=[other.pk])).status_code == 302
    for service in (services.reset_password, services.deactivate, services.reactivate):
        with pytest.raises(Forbidden):
            service(user=other, by=user)
    with pytest.raises(Forbidden):
        services.create_person(username="x", by=user)
    other.refresh_from_db()
    assert other.check_password(PASSWORD)
    assert other.is_active


def test_people_are_found_by_name_and_state():
    admin = client_of(make_admin())
    make_user("wanda", first_name="Wanda", last_name="Maximo")
    make_user("viktor", is_active=False)
    shown = admin.get(reverse("accounts:people"), {"q": "maxi"}).content.decode()
    assert "wanda" in shown
    assert "viktor" not in shown
    assert "viktor" in admin.get(reverse("accounts:people"), {"show": "inactive"}).content.decode()


def test_an_unknown_person_is_not_found():
    assert client_of(make_admin()).post(reverse("accounts:deactivate", args=[0])).status_code == 404


def test_a_reset_of_a_deactivated_account_is_refused():
    with pytest.raises(Conflict):
        services.reset_password(user=make_user(is_active=False), by=make_admin())
    with pytest.raises(Conflict):
        services.reactivate(user=make_user(), by=make_admin())


def test_generated_passwords_differ_and_pass_the_rules():
    from django.contrib.auth.password_validation import validate_password

    passwords = {services.generate_password() for _ in range(50)}
    assert len(passwords) == 50
    for password in passwords:
        validate_password(password)


def test_tokens_of_a_closed_account_are_deleted():
    user = make_user()
    services.create_token(user=user, name="script")
    services.deactivate(user=user, by=make_admin())
    assert not ApiToken.objects.filter(user=user).exists()
