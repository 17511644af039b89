"""Sending a request twice does it once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from annotator.common import idempotency
from annotator.common.models import IdempotentReply
from annotator.items.models import Item
from annotator.projects.models import Invitation, Project
from tests.factories import make_project, make_user
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db
PROJECTS = "/api/v1/projects/"
BODY = {"name": "Pets", "modality": "text", "classes": [{"name": "cat"}, {"name": "dog"}]}


@pytest.fixture
def client() -> Client:
    return Client(headers=token_of(make_user()))


def post(client, path=PROJECTS, body=BODY, key="k1"):
    return client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_the_same_key_and_body_give_the_first_answer_again(client):
    first, second = post(client), post(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Project.objects.count() == 1


def test_the_order_of_the_fields_is_no_difference(client):
    post(client)
    assert post(client, body=dict(reversed(BODY.items()))).status_code == 201
    assert Project.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(client):
    post(client)
    answer = post(client, body=BODY | {"name": "Beasts"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert Project.objects.count() == 1


def test_other_keys_people_and_routes_are_other_requests(client):
    post(client)
    assert "Idempotent-Replayed" not in post(client, key="k2")
    assert "Idempotent-Replayed" not in post(Client(headers=token_of(make_user())))
    assert Project.objects.count() == 3


def test_what_failed_can_be_tried_again_with_its_key(client):
    assert post(client, body=BODY | {"classes": []}).status_code == 400
    assert post(client).status_code == 201
    assert IdempotentReply.objects.count() == 1


def test_without_a_key_nothing_is_remembered(client):
    client.post(PROJECTS, BODY, content_type="application/json")
    client.post(PROJECTS, BODY, content_type="application/json")
    assert Project.objects.count() == 2
    assert not IdempotentReply.objects.exists()


@pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
def test_a_key_that_cannot_be_kept_is_refused(client, key):
    assert post(client, key=key).json()["code"] == "bad_key"


def test_after_a_day_a_key_is_free_again(client):
    post(client)
    IdempotentReply.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert "Idempotent-Replayed" not in post(client)
    IdempotentReply.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert idempotency.remove_old_replies() == 1


def test_what_is_shown_once_is_not_kept():
    project = make_project()
    client = Client(headers=token_of(project.created_by))
    path, body = f"{PROJECTS}{project.pk}/invitations/", {"role": "viewer"}
    first, second = post(client, path, body), post(client, path, body)
    assert first.json()["link"].startswith("http")
    assert second.json() == first.json() | {"link": ""}
    assert Invitation.objects.count() == 1
    assert first.json()["link"] not in str(IdempotentReply.objects.get().document)


def test_items_sent_twice_with_a_key_are_counted_as_the_first_time():
    project = make_project()
    client = Client(headers=token_of(project.created_by))
    path, body = f"{PROJECTS}{project.pk}/items/", {"items": [{"text": "A"}, {"text": "B"}]}
    assert post(client, path, body).json()["created"] == 2
    assert post(client, path, body).json()["created"] == 2
    assert post(client, path, body, key="other").json() == {
        "rows": 2, "created": 0, "known": 2, "rejected": 0, "errors": [],
    }  # fmt: skip
    assert Item.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_twin_that_waits_too_long_is_told_to_come_again(client, monkeypatch):
    monkeypatch.setattr(idempotency, "PATIENCE", "50ms")
    user = make_user()
    client = Client(headers=token_of(user))
    other = connections["default"].copy()
    try:
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute(idempotency.CLAIM, [user.pk, PROJECTS, "k1", "x", 86_400])
            answer = post(client)
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
            assert answer["Retry-After"] == "5"
            other.rollback()
    finally:
        other.close()
    assert post(client).status_code == 201
