"""Guessing from many addresses, and guessing many names, has its limits too."""

from __future__ import annotations

import time

import pytest
from django.test import Client
from django.urls import reverse

from annotator.accounts import throttle
from annotator.accounts.models import ApiToken
from annotator.accounts.services import create_token
from annotator.accounts.throttle import TooManyAttempts, begin_attempt, succeed
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "NAME_FAILURES", 8)
    monkeypatch.setattr(throttle, "ADDRESS_FAILURES", 12)


def unique(name: str) -> str:
    """A name or address that no other test has counted."""
    return f"{name}-{time.perf_counter_ns()}"


def test_one_name_guessed_from_many_addresses_has_to_wait_for_a_minute_everywhere() -> None:
    name = unique("nina")
    for _ in range(8):
        begin_attempt(username=name, address=unique("10.0.0"))
    with pytest.raises(TooManyAttempts) as refused:
        begin_attempt(username=name.upper(), address=unique("10.0.0"))
    assert refused.value.extra["retry_after"] <= throttle.CEILING_WAIT + 1


def test_who_signed_in_from_an_address_before_is_not_locked_out_by_strangers() -> None:
    name, office = unique("nina"), unique("192.0.2")
    begin_attempt(username=name, address=office)
    succeed(username=name, address=office)
    for _ in range(8):
        begin_attempt(username=name, address=unique("10.0.0"))
    begin_attempt(username=name, address=office)


def test_one_address_that_guesses_many_names_has_to_wait() -> None:
    address = unique("10.0.0")
    for _ in range(12):
        begin_attempt(username=unique("somebody"), address=address)
    with pytest.raises(TooManyAttempts):
        begin_attempt(username=unique("somebody"), address=address)
    begin_attempt(username=unique("somebody"), address=unique("10.0.0"))


def test_an_office_that_signs_in_all_day_shares_an_address_in_peace() -> None:
    address = unique("192.0.2")
    for _ in range(30):
        name = unique("somebody")
        begin_attempt(username=name, address=address)
        succeed(username=name, address=address)


def test_an_address_that_is_a_proxys_is_not_held_against_anybody() -> None:
    address = unique("127.0.0")
    for _ in range(20):
        begin_attempt(username=unique("somebody"), address=address, shared=True)


def test_a_reset_by_an_administrator_ends_api_tokens_too() -> None:
    user = make_user()
    _, plain = create_token(user=user, name="nightly")
    admin = Client()
    admin.force_login(make_user(is_superuser=True, is_staff=True))
    admin.post(reverse("accounts:reset_password", args=[user.pk]))
    assert not ApiToken.objects.filter(user=user).exists()
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {plain}"}).status_code == 401
