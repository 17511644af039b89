"""Readiness, metrics, request ids and logs: what machines ask and operators read."""

from __future__ import annotations

import json
import logging
import re
import uuid
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from annotator.common import logs, requests
from annotator.common.clients import client_address
from annotator.common.requests import RequestMiddleware
from annotator.jobs.models import Job
from annotator.jobs.selectors import QUEUES, SEEN_KEY, note_queue_served
from annotator.labeling import queue
from annotator.labeling.models import Annotation
from annotator.learning.models import ModelVersion, Round
from annotator.operations import health, metrics
from tests.factories import choice, make_items, make_project, make_user

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-operators"
OUTSIDE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from another test; every queue has a worker."""
    monkeypatch.setattr(health, "_kept", (0.0, []))
    cache.delete(metrics.KEY)
    for name in QUEUES:
        note_queue_served(name)


def metric(text: str, name: str, **labels: object) -> float:
    """Value of the one sample with this name and these labels."""
    wanted = {key: str(value) for key, value in labels.items()}
    [value] = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == wanted
    ]
    return value


def scrape() -> str:
    return Client().get("/metrics").content.decode()


def test_an_application_that_has_everything_is_ready() -> None:
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.json()
    assert answer.json()["problems"] == []
    assert "no-store" in answer["Cache-Control"]


def test_a_queue_without_a_worker_is_named() -> None:
    cache.set(f"{SEEN_KEY}.gpu", {"at": timezone.now() - timedelta(seconds=90)})
    cache.delete(f"{SEEN_KEY}.io")
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == [
        "No worker has served the queue io yet.",
        "The worker of the queue gpu was last seen 2 minutes ago.",
    ]


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("connection refused\nand more lines")

    monkeypatch.setattr(health, "migration_state", away)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == ["The database does not answer: connection refused"]


@pytest.mark.parametrize(
    ("state", "words"),
    [((["items.0002_x"], []), "lacks 1 changes"), (([], ["items.9999_x"]), "belongs to a newer release")],
)
def test_a_database_of_another_release_is_named(
    monkeypatch: pytest.MonkeyPatch, state: object, words: str
) -> None:
    monkeypatch.setattr(health, "migration_state", lambda: state)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert words in answer.json()["problems"][0]


def test_a_full_disk_and_long_waiting_jobs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LEAST_FREE", 2**60)
    job = Job.objects.create(kind="import")
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=2))
    states = {finding.key: finding.state for finding in health.readiness()}
    assert states["disk"] == "bad"
    assert states["backlog"] == "warning"
    assert not health.is_ready(health.readiness())


def test_answers_are_kept_for_moments_so_that_asking_often_costs_nothing(django_assert_num_queries) -> None:
    health.readiness()
    with django_assert_num_queries(0):
        health.readiness()


def test_details_are_for_administrators_operators_and_this_machine(settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    admin, member = Client(**OUTSIDE), Client(**OUTSIDE)
    admin.force_login(make_user(is_superuser=True))
    member.force_login(make_user())
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert "findings" in admin.get("/readyz").json()
    assert "findings" in Client().get("/readyz").json()
    assert "findings" in Client(**OUTSIDE).get("/readyz", headers=bearer).json()
    assert set(member.get("/readyz").json()) == {"status"}
    assert set(Client(**OUTSIDE).get("/readyz").json()) == {"status"}
    # Behind a proxy on this machine everybody comes from 127.0.0.1.
    assert set(Client().get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"}).json()) == {"status"}


def test_metrics_are_not_for_strangers(settings) -> None:
    settings.METRICS_TOKEN = ""
    for wrong in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer guess"}):
        assert Client(**OUTSIDE).get("/metrics", headers=wrong).status_code == 403
    settings.METRICS_TOKEN = TOKEN
    assert Client(**OUTSIDE).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert Client(**OUTSIDE).get("/metrics", headers={"Authorization": "Bearer guess"}).status_code == 403
    assert Client().get("/metrics", headers={"X-Real-IP": "203.0.113.9"}).status_code == 403


def test_metrics_tell_the_state_of_the_product() -> None:
    project = make_project()
    items = make_items(project, 4)
    Annotation.objects.create(
        id="00000000-0000-0000-0000-000000000001",
        project=project,
        item=items[0],
        annotator=project.created_by,
        schema=project.schema,
        regions=choice("cat"),
    )
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in items[1:]])
    queue.claim(project_id=project.pk, user_id=project.created_by_id, holder=uuid.uuid4(), count=1)
    job = Job.objects.create(kind="import", queue="io")
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=10))
    Round.objects.create(project=project, number=1, trigger="manual", seed=1, state="failed")
    ModelVersion.objects.create(project=project, number=1, schema=project.schema, n_labels=1, in_use=True)
    text = scrape()
    assert metric(text, "annotator_database_up") == 1
    assert metric(text, "annotator_labels", project=project.pk) == 1
    assert metric(text, "annotator_leases", project=project.pk) == 1
    assert metric(text, "annotator_queue_open", project=project.pk) == 2
    assert metric(text, "annotator_jobs", state="queued", kind="import") == 1
    assert 590 <= metric(text, "annotator_job_oldest_waiting_seconds", queue="io") < 660
    assert metric(text, "annotator_rounds", state="failed") == 1
    assert -5 <= metric(text, "annotator_model_age_seconds", project=project.pk) < 60
    assert (
        timezone.now().timestamp() - metric(text, "annotator_worker_seen_timestamp_seconds", queue="gpu") < 60
    )


def test_scraping_often_asks_the_database_once(django_assert_max_num_queries) -> None:
    scrape()
    make_project()
    with django_assert_max_num_queries(0):
        assert metrics.product_rows() is not None


def test_metrics_are_there_while_the_database_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "product_rows", lambda: None)
    assert metric(scrape(), "annotator_database_up") == 0


def test_requests_are_counted_by_route_and_never_by_address_or_person() -> None:
    labels = {"method": "GET", "route": "healthz", "status": 200}
    before = requests.REGISTRY.get_sample_value(
        "annotator_http_requests_total", {k: str(v) for k, v in labels.items()}
    )
    Client().get("/healthz")
    Client().get("/no/such/page-of-gabriela/")
    text = scrape()
    assert metric(text, "annotator_http_requests_total", **labels) == (before or 0) + 1
    assert metric(text, "annotator_http_request_seconds_count", route="healthz") >= 1
    assert "gabriela" not in text
    assert metric(text, "annotator_http_requests_total", method="GET", route="none", status=404) >= 1


def test_each_answer_carries_an_id_and_a_sane_one_is_kept() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", Client().get("/healthz")["X-Request-ID"])
    for given, kept in (
        ("proxy-1234.abcd", True),
        ("short", False),
        ("x" * 65, False),
        ("new\nline12345", False),
    ):
        request = RequestFactory().get("/", HTTP_X_REQUEST_ID=given)
        assert (requests.request_id_of(request) == given) is kept


def test_a_failure_carries_the_id_that_the_log_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of no interest to people")

    monkeypatch.setattr(health, "readiness", fail)
    answer = Client(raise_request_exception=False).get("/readyz", headers={"Accept": "application/json"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "of no interest" not in answer.content.decode()


def line_of(record: logging.LogRecord, request: object) -> dict[str, object]:
    token = logs.current.set(request)  # type: ignore[arg-type]
    try:
        logs.RequestFilter().filter(record)
    finally:
        logs.current.reset(token)
    found: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return found


def test_log_lines_are_objects_with_the_request_and_without_people() -> None:
    project = make_project()
    user = make_user("gabriela", email="gabriela@example.org")
    request = RequestFactory().get(f"/projects/{project.pk}/jobs/?q=private")
    request.id, request.user = "abcd1234", user
    from django.urls import resolve

    request.resolver_match = resolve(request.path)
    record = logging.LogRecord(
        "annotator.test", logging.ERROR, __file__, 1, "Went %s\nwrong", ("badly",), None
    )
    line = line_of(record, request)
    assert line["message"] == "Went badly\nwrong"
    assert (line["request_id"], line["user"], line["project"]) == ("abcd1234", user.pk, project.pk)
    assert (line["route"], line["level"]) == ("jobs:list", "ERROR")
    assert not {"gabriela", "private", "example.org"} & set(re.findall(r"[\w.]+", json.dumps(line)))


def test_a_line_outside_requests_says_so() -> None:
    record = logging.LogRecord("annotator.test", logging.INFO, __file__, 1, "tick", (), None)
    logs.RequestFilter().filter(record)
    assert record.request_id == "-"
    assert "request_id" not in json.loads(logs.JsonFormatter().format(record))


def test_slow_requests_are_logged_with_their_duration(caplog: pytest.LogCaptureFixture, settings) -> None:
    settings.SLOW_SECONDS = 0
    RequestMiddleware(lambda request: HttpResponse("ok"))(RequestFactory().get("/"))
    [record] = [record for record in caplog.records if record.name == "annotator.common.requests"]
    assert record.status == 200  # type: ignore[attr-defined]
    assert "Slow request" in record.message


def test_asking_who_is_there_for_the_log_costs_no_query(django_assert_num_queries) -> None:
    client = Client()
    client.force_login(make_user())
    with django_assert_num_queries(1):
        client.get("/healthz")


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "198.51.100.1", "10.0.0.2"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "invented, 198.51.100.1", "198.51.100.1"),
        (2, "invented, 198.51.100.1, 192.0.2.5", "198.51.100.1"),
        (1, "no address", "10.0.0.2"),
        (1, "", "10.0.0.2"),
    ],
)
def test_the_client_is_who_the_announced_proxies_saw(
    settings, proxies: int, header: str, address: str
) -> None:
    settings.PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR=header)
    assert client_address(request) == address


def test_machines_are_not_sent_to_https(settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/healthz", "/readyz", "/metrics"):
        assert Client().get(path).status_code == 200, path
    assert Client().get("/login/").status_code == 301
