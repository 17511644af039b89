"""The API about oneself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone
from rest_framework.request import Request

from annotator.accounts import services, throttle
from annotator.accounts.authentication import USER_COLUMNS, TokenAuthentication
from annotator.accounts.models import ApiToken
from annotator.common.scopes import SCOPES
from tests.factories import make_project, make_user

PASSWORD = "correct horse battery"
TOKENS = "/api/v1/tokens/"

pytestmark = pytest.mark.django_db


def bearer(plain: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {plain}"})


def ask(client: Client, **values):
    return client.post(TOKENS, {"name": "script", **values}, content_type="application/json")


def test_user_name_and_password_give_a_token_that_works():
    user = make_user()
    answer = ask(Client(), username=user.username, password=PASSWORD, days=3)
    assert answer.status_code == 201
    document = answer.json()
    assert document["scopes"] == list(SCOPES)
    assert bearer(document["token"]).get("/api/v1/me/").json()["id"] == user.pk
    assert ApiToken.objects.get(pk=document["id"]).expires_at < timezone.now() + timedelta(days=3, minutes=1)


def test_a_wrong_password_gives_a_problem_document_and_counts():
    user = make_user()
    for _ in range(throttle.FREE_FAILURES):
        answer = ask(Client(), username=user.username, password="wrong")
        assert (answer.status_code, answer.json()["code"]) == (422, "wrong_password")
        assert answer["Content-Type"] == "application/problem+json"
    refused = ask(Client(), username=user.username, password=PASSWORD)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert refused.json()["retry_after"] > 0
    assert not user.api_tokens.exists()


def test_without_anything_one_is_asked_who_one_is():
    assert ask(Client()).status_code == 401
    assert Client().get(TOKENS).status_code == 401
    assert Client().get("/api/v1/me/").json()["code"] == "not_authenticated"


def test_a_session_makes_tokens_and_needs_the_csrf_token():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    assert ask(client).status_code == 403
    client = Client()
    client.force_login(make_user())
    assert ask(client, days=None).json()["expires_at"] is None


def test_a_token_cannot_make_tokens():
    _, plain = services.create_token(user=make_user(), name="short", days=1)
    answer = ask(bearer(plain), days=None)
    assert answer.status_code == 403


def test_a_one_time_password_gives_no_token():
    user = make_user(must_change_password=True)
    answer = ask(Client(), username=user.username, password=PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (403, "password_change_required")


def test_a_read_token_reads_only():
    user = make_user()
    token, plain = services.create_token(user=user, name="reader", scopes=["read"])
    assert bearer(plain).get(TOKENS).status_code == 200
    refused = bearer(plain).delete(f"{TOKENS}{token.pk}/")
    assert refused.status_code == 403
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_an_expired_token_opens_nothing():
    token, plain = services.create_token(user=make_user(), name="old", days=1)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = bearer(plain).get("/api/v1/me/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_one_lists_and_revokes_ones_own_tokens_only():
    user, other = make_user(), make_user()
    mine, plain = services.create_token(user=user, name="mine")
    theirs, _ = services.create_token(user=other, name="theirs")
    page = bearer(plain).get(TOKENS).json()
    assert [token["id"] for token in page["results"]] == [mine.pk]
    assert page["next"] is None
    assert "digest" not in page["results"][0]
    assert bearer(plain).delete(f"{TOKENS}{theirs.pk}/").status_code == 404
    assert bearer(plain).delete(f"{TOKENS}{mine.pk}/").status_code == 204
    assert bearer(plain).get(TOKENS).status_code == 401


def test_a_strange_page_mark_is_refused_in_words():
    _, plain = services.create_token(user=make_user(), name="mine")
    for after in ("x", "-1", "9" * 40, "²"):
        assert "after" in bearer(plain).get(TOKENS, {"after": after}).json()["errors"]


@pytest.mark.parametrize(
    "values",
    [{"name": ""}, {"scopes": ["all"]}, {"scopes": []}, {"days": 0}, {"days": "x"}, {"name": "x" * 101}],
)
def test_wrong_fields_are_named(values):
    client = Client()
    client.force_login(make_user())
    answer = ask(client, **values)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == set(values)


def test_the_person_behind_a_token_is_who_they_are():
    user = make_user(first_name="Ada", last_name="Byron", email="ada@example.org")
    _, plain = services.create_token(user=user, name="mine")
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {plain}"})
    found, grant = TokenAuthentication().authenticate(Request(request))
    user.refresh_from_db()
    loaded = {column: getattr(user, column) for column in USER_COLUMNS}
    assert {name: value for name, value in vars(found).items() if name != "_state"} == loaded
    assert found.is_superuser is False
    assert (grant.id, list(grant.scopes)) == (user.api_tokens.get().pk, list(SCOPES))


def test_a_token_of_nobody_special_opens_no_foreign_project():
    project = make_project()
    _, plain = services.create_token(user=make_user(), name="mine")
    assert bearer(plain).get(f"/api/v1/projects/{project.pk}/").status_code == 404
    assert bearer(plain).get("/api/v1/projects/").json()["results"] == []


def test_a_write_of_the_last_use_costs_once_a_minute(django_assert_num_queries):
    _, plain = services.create_token(user=make_user(), name="busy")
    bearer(plain).get("/api/v1/me/")
    with django_assert_num_queries(1):
        bearer(plain).get("/api/v1/me/")
