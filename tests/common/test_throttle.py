"""Programs may ask often, not endlessly; labelling is not counted."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisConnectionError

from annotator.common import throttle
from tests.factories import make_project, make_user
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db
ME = "/api/v1/me/"


@pytest.fixture(autouse=True)
def _three_a_minute(settings, monkeypatch):
    settings.API_REQUESTS_PER_MINUTE = 3
    cache.clear()
    monkeypatch.setattr(throttle.time, "time", lambda: 600_015.0)


def test_who_asks_too_often_is_told_when_to_come_again():
    client = Client(headers=token_of(make_user()))
    assert [client.get(ME).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get(ME)
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "throttled"
    assert refused["Retry-After"] == "45"


def test_the_next_minute_is_another(monkeypatch):
    client = Client(headers=token_of(make_user()))
    for _ in range(4):
        client.get(ME)
    monkeypatch.setattr(throttle.time, "time", lambda: 600_061.0)
    assert client.get(ME).status_code == 200


def test_each_token_has_its_own_count():
    user = make_user()
    first, second = Client(headers=token_of(user)), Client(headers=token_of(user))
    for _ in range(4):
        first.get(ME)
    assert second.get(ME).status_code == 200


def test_labelling_is_not_counted():
    project = make_project()
    client = Client(headers=token_of(project.created_by))
    url = f"/api/v1/projects/{project.pk}/next/"
    statuses = {
        client.post(url, {"holder": str(uuid.uuid4())}, content_type="application/json").status_code
        for _ in range(6)
    }
    assert statuses == {200}


def test_no_limit_counts_nothing(settings):
    settings.API_REQUESTS_PER_MINUTE = 0
    client = Client(headers=token_of(make_user()))
    assert {client.get(ME).status_code for _ in range(6)} == {200}


def test_a_cache_that_is_away_stops_nobody(monkeypatch):
    def away(*_args):
        raise RedisConnectionError("away")

    client = Client(headers=token_of(make_user()))
    monkeypatch.setattr(throttle.cache, "incr", away)
    assert {client.get(ME).status_code for _ in range(6)} == {200}


def test_answers_are_taken_without_counting_and_lists_of_them_are_counted():
    project = make_project()
    client = Client(headers=token_of(project.created_by))
    address = reverse("api:annotations", args=[project.pk])
    answers = {client.post(address, {}, content_type="application/json").status_code for _ in range(5)}
    assert 429 not in answers
    assert [client.get(address).status_code for _ in range(4)] == [200, 200, 200, 429]
