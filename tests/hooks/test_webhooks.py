"""Who asked to be told is told: at least once, signed, again when it failed, and visibly not at all when it keeps failing."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from annotator.common.errors import AnnotatorError
from annotator.hooks import delivery, services
from annotator.hooks.models import Delivery, Event, Kind, Webhook
from annotator.hooks.outbox import note
from annotator.jobs import services as jobs
from annotator.jobs.models import Job
from annotator.jobs.services import cancel_job, run_job
from annotator.labeling import queue
from annotator.labeling.services import submit_annotation, withdraw_annotation
from annotator.projects.models import Project
from tests.common.servers import answer, server
from tests.factories import choice, make_items, make_project
from tests.workspace.world import token_of

pytestmark = pytest.mark.django_db


@dataclass
class Receiver:
    """Stands where the safe client stands: remembers what came and answers as told."""

    status: int = 200
    body_start: bytes = b"thanks"
    refuses: bool = False
    got: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout: float) -> Receiver:
        self.got.append((url, body, headers))
        if self.refuses:
            raise AnnotatorError("This address is inside the network.", hint="Choose another.")
        return self

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body, _ in self.got]


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def webhook(project: Project) -> Webhook:
    made, _ = services.create_webhook(
        project=project, url="https://example.org/hook", events=Kind.values, by=project.created_by
    )
    return made


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def tell(receiver: Receiver) -> int:
    delivery.hand_out()
    return delivery.deliver_due(post=receiver)


def hasten() -> None:
    """As if the time to the next attempt were over."""
    Delivery.objects.filter(state="waiting").update(next_try_at=timezone.now() - timedelta(seconds=1))


def answer_items(project: Project, count: int) -> list[int]:
    """The owner answers so many items; returns their ids."""
    user = project.created_by
    items = make_items(project, count)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in items])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=count)
    for item in items:
        submit_annotation(
            project_id=project.pk, user_id=user.pk, annotation_id=uuid.uuid4(), item_id=item.pk,
            schema_version=1, regions=choice("cat"),
        )  # fmt: skip
    return [item.pk for item in items]


def test_an_event_arrives_once_signed_and_with_its_id(project, webhook, receiver):
    note(project_id=project.pk, kind=Kind.ROUND, payload={"round": 3})
    assert tell(receiver) == 1
    [(url, body, headers)] = receiver.got
    document = json.loads(body)
    assert url == "https://example.org/hook"
    assert (document["event"], document["project"], document["data"]) == (
        "round.published",
        project.pk,
        {"round": 3},
    )
    assert headers["X-Annotator-Event-Id"] == document["id"]
    parts = dict(part.split("=") for part in headers["X-Annotator-Signature"].split(","))
    expected = hmac.new(webhook.secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    assert tell(receiver) == 0
    kept = Delivery.objects.get()
    assert (kept.state, kept.status, kept.response_start, kept.attempts) == ("delivered", 200, "thanks", 1)
    assert not Event.objects.exists()


def test_answers_travel_together(project, webhook, receiver):
    items = answer_items(project, 3)
    tell(receiver)
    [document] = receiver.documents
    assert document["event"] == "annotation.submitted"
    assert [row["item"] for row in document["data"]["annotations"]] == items
    assert document["data"]["annotations"][0]["regions"] == choice("cat")


def test_an_answer_taken_back_is_told(project, webhook, receiver):
    [item] = answer_items(project, 1)
    withdraw_annotation(
        project_id=project.pk, user_id=project.created_by_id, item_id=item, annotation_id=uuid.uuid4(),
        holder=uuid.uuid4(),
    )  # fmt: skip
    tell(receiver)
    withdrawn = [d for d in receiver.documents if d["event"] == "annotation.withdrawn"]
    assert [row["item"] for row in withdrawn[0]["data"]["annotations"]] == [item]


def test_the_end_of_a_job_is_told_whatever_it_was(project, webhook, receiver, monkeypatch):
    monkeypatch.setitem(jobs._handlers, "import", lambda run: {"created": 4})
    good = Job.objects.create(kind="import", project=project)
    run_job(good.pk)
    stopped = Job.objects.create(kind="encode", project=project)
    cancel_job(job=stopped)
    tell(receiver)
    told = [(d["event"], d["data"]["job"], d["data"]["state"]) for d in receiver.documents]
    assert told == [
        ("job.finished", good.pk, "succeeded"),
        ("import.finished", good.pk, "succeeded"),
        ("job.finished", stopped.pk, "cancelled"),
    ]


def test_what_was_taken_back_in_the_database_is_not_told(project, webhook, receiver):
    with transaction.atomic():
        note(project_id=project.pk, kind=Kind.ROUND, payload={})
        transaction.set_rollback(True)
    assert tell(receiver) == 0


def test_where_nobody_asked_nothing_is_written(project):
    services.create_webhook(
        project=make_project(), url="https://example.org", events=Kind.values, by=project.created_by
    )
    services.create_webhook(
        project=project, url="https://example.org", events=[Kind.ROUND], by=project.created_by
    )
    answer_items(project, 2)
    note(project_id=project.pk, kind=Kind.JOB, payload={})
    assert not Event.objects.exists()


def test_a_failure_is_tried_again_later_and_later_with_the_same_id(project, webhook, receiver):
    receiver.status = 503
    note(project_id=project.pk, kind=Kind.ROUND, payload={})
    waits = []
    for _ in range(5):
        hasten()
        tell(receiver)
        waits.append(Delivery.objects.get().next_try_at - timezone.now())
    assert [round(wait.total_seconds() / 60) for wait in waits] == [1, 5, 30, 120, 720]
    assert len({document["id"] for document in receiver.documents}) == 1
    assert len({body for _, body, _ in receiver.got}) == 1
    receiver.status = 200
    hasten()
    assert tell(receiver) == 1
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.active) == (0, True)


def test_who_never_answers_is_switched_off_visibly_and_can_be_switched_on(project, webhook, receiver):
    receiver.refuses = True
    note(project_id=project.pk, kind=Kind.ROUND, payload={"round": 1})
    for _ in range(6):
        hasten()
        tell(receiver)
    webhook.refresh_from_db()
    assert not webhook.active
    assert "inside the network" in webhook.disabled_reason
    kept = Delivery.objects.get()
    assert (kept.state, kept.status, kept.attempts) == ("failed", None, 6)
    client = Client()
    client.force_login(project.created_by)
    page = client.get(reverse("hooks:webhook", args=[project.pk, webhook.pk])).content.decode()
    assert "This webhook is off" in page
    client.post(reverse("hooks:switch", args=[project.pk, webhook.pk]))
    client.post(reverse("hooks:again", args=[project.pk, webhook.pk, kept.pk]))
    receiver.refuses = False
    assert tell(receiver) == 1
    assert receiver.documents[-1]["id"] == str(kept.event)


def test_a_test_reaches_a_webhook_that_is_off_and_is_sent_once(project, webhook, receiver):
    services.update_webhook(webhook=webhook, active=False)
    services.send_test(webhook=webhook, by=project.created_by)
    receiver.status = 404
    assert tell(receiver) == 0
    assert receiver.documents[0]["event"] == "ping"
    kept = Delivery.objects.get()
    assert (kept.state, kept.error) == ("failed", "The receiver answered 404.")


def test_an_attempt_that_was_lost_is_made_again(project, webhook, receiver):
    note(project_id=project.pk, kind=Kind.ROUND, payload={})
    delivery.hand_out()

    def dies(url: str, **_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delivery.deliver_due(post=dies)
    assert delivery.deliver_due(post=receiver) == 0
    hasten()
    assert delivery.deliver_due(post=receiver) == 1


def test_a_new_secret_signs_beside_the_old_one_for_a_day(project, webhook, receiver):
    old = webhook.secret
    new = services.rotate_secret(webhook=webhook)
    services.send_test(webhook=webhook, by=project.created_by)
    tell(receiver)
    _, body, headers = receiver.got[0]
    at = int(headers["X-Annotator-Signature"].split(",")[0].removeprefix("t="))
    assert headers["X-Annotator-Signature"] == delivery.signature([new, old], body, at=at)
    Webhook.objects.update(previous_until=timezone.now())
    services.send_test(webhook=webhook, by=project.created_by)
    tell(receiver)
    assert receiver.got[1][2]["X-Annotator-Signature"].count("v1=") == 1


def test_a_deleted_project_tells_nobody(project, webhook, receiver):
    note(project_id=project.pk, kind=Kind.ROUND, payload={})
    delivery.hand_out()
    Project.objects.update(deleted_at=timezone.now())
    assert tell(receiver) == 0


def test_an_old_log_is_removed_but_nothing_that_waits(project, webhook):
    old = timezone.now() - timedelta(days=31)
    for state in Delivery.State.values:
        Delivery.objects.create(webhook=webhook, kind="ping", payload={}, state=state, created_at=old)
    assert delivery.remove_old_deliveries() == 2
    assert Delivery.objects.get().state == "waiting"


@pytest.mark.parametrize(
    "url",
    ["example.org", "ftp://example.org", "https://", "https://a:b@example.org", "https://[", "http://a b"],
)
def test_what_is_no_web_address_is_refused_in_words(project, url):
    client = Client()
    client.force_login(project.created_by)
    answer = client.post(
        reverse("hooks:webhooks", args=[project.pk]), {"url": url, "events": ["job.finished"]}
    )
    assert answer.status_code == 422
    assert not Webhook.objects.exists()


def test_pages_show_the_secret_once_and_the_log(project, receiver):
    client = Client()
    client.force_login(project.created_by)
    listing = reverse("hooks:webhooks", args=[project.pk])
    values = {"url": "https://example.org/hook", "events": ["job.finished"]}
    page = client.post(listing, values).content.decode()
    webhook = Webhook.objects.get()
    assert webhook.secret in page
    assert webhook.secret not in client.get(listing).content.decode()
    one = reverse("hooks:webhook", args=[project.pk, webhook.pk])
    client.post(reverse("hooks:test", args=[project.pk, webhook.pk]))
    tell(receiver)
    page = client.get(one).content.decode()
    assert "ping" in page
    assert "Delivered" in page
    detail = reverse("hooks:delivery", args=[project.pk, webhook.pk, Delivery.objects.get().pk])
    assert "thanks" in client.get(detail).content.decode()
    client.post(one, {"url": "https://example.org/other", "events": ["round.published"]})
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events) == ("https://example.org/other", ["round.published"])
    old = webhook.secret
    rotated = client.post(reverse("hooks:rotate", args=[project.pk, webhook.pk])).content.decode()
    webhook.refresh_from_db()
    assert webhook.secret in rotated
    assert webhook.secret != old
    client.post(reverse("hooks:delete", args=[project.pk, webhook.pk]))
    assert not Webhook.objects.exists()


def test_programs_manage_webhooks_too(project, receiver):
    client = Client(headers=token_of(project.created_by))
    base = f"/api/v1/projects/{project.pk}/webhooks/"

    def send(method: str, path: str, body: Any = None) -> Any:
        return getattr(client, method)(base + path, body or {}, content_type="application/json")

    made = send("post", "", {"url": "https://example.org/hook", "events": ["job.finished"]}).json()
    assert made["secret"].startswith("whsec_")
    one = f"{made['id']}/"
    assert "secret" not in client.get(base + one).json()
    assert send("patch", one, {"active": False}).json()["active"] is False
    assert send("patch", one, {"events": ["nonsense"]}).status_code == 400
    assert send("post", f"{one}test/").status_code == 202
    tell(receiver)
    [row] = client.get(f"{base}{one}deliveries/?state=delivered").json()["results"]
    assert (row["kind"], row["status"]) == ("ping", 200)
    assert send("post", f"{one}deliveries/{row['id']}/again/").status_code == 202
    assert send("post", f"{one}deliveries/{row['id']}/again/").json()["code"] == "delivery_waiting"
    assert send("post", f"{one}rotate-secret/").json()["secret"] != made["secret"]
    assert client.delete(base + one).status_code == 204
    assert client.get(base).json()["results"] == []


def test_a_delivery_really_goes_over_the_wire(project: Project, settings: Settings) -> None:
    settings.FETCH_ALLOW, settings.FETCH_PORTS = (ip_network("127.0.0.0/8"),), ((1, 65535),)
    got: list[bytes] = []

    def handler(request: bytes) -> bytes:
        got.append(request)
        return answer(b"thanks", status="202 Accepted")

    with server(handler) as port:
        made, secret = services.create_webhook(
            project=project, url=f"http://127.0.0.1:{port}/hook", events=Kind.values, by=project.created_by
        )
        services.send_test(webhook=made, by=project.created_by)
        assert delivery.deliver_due() == 1
    [request] = got
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    assert lines[0] == "POST /hook HTTP/1.1"
    at = dict(part.split("=") for part in sent["x-annotator-signature"].split(","))
    signed = hmac.new(secret.encode(), f"{at['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert at["v1"] == signed
    logged = Delivery.objects.get()
    assert (logged.state, logged.status, logged.response_start) == ("delivered", 202, "thanks")


def test_an_address_inside_the_network_is_refused_when_it_is_sent_to(
    project: Project, settings: Settings
) -> None:
    settings.FETCH_ALLOW, settings.FETCH_PORTS = (ip_network("127.0.0.0/8"),), ((1, 65535),)
    got: list[bytes] = []

    def handler(request: bytes) -> bytes:
        got.append(request)
        return answer()

    with server(handler) as port:
        made, _ = services.create_webhook(
            project=project, url=f"http://127.0.0.1:{port}/hook", events=Kind.values, by=project.created_by
        )
        services.send_test(webhook=made, by=project.created_by)
        settings.FETCH_ALLOW = ()
        assert delivery.deliver_due() == 0
    assert not got
    assert "not a public address" in Delivery.objects.get().error


def test_a_receiver_that_does_not_answer_keeps_nobody_waiting(project: Project, webhook: Webhook) -> None:
    """Its other deliveries step back after the first failure, whatever they tell of."""
    other, _ = services.create_webhook(
        project=project, url="https://example.org/other", events=Kind.values, by=project.created_by
    )
    long_ago = timezone.now() - timedelta(hours=1)
    for hook, count in ((webhook, 5), (other, 1)):
        for _ in range(count):
            Delivery.objects.create(
                webhook=hook, event=uuid.uuid4(), kind="job.finished", payload={}, next_try_at=long_ago
            )
    asked = []

    def post(url: str, **rest: Any) -> Receiver:
        asked.append(url)
        return Receiver(status=500 if url == webhook.url else 200)

    assert delivery.deliver_due(post=post) == 1
    assert asked == [webhook.url, other.url]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9999/x",
        "http://169.254.169.254/",
        "https://[::1]/x",
        "http://localhost/x",
        "http://2130706433/",
    ],
)
def test_addresses_inside_the_network_are_refused_when_they_are_given(project: Project, url: str) -> None:
    with pytest.raises(AnnotatorError, match="not a public address"):
        services.create_webhook(project=project, url=url, events=Kind.values, by=project.created_by)
