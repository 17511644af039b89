"""Errors in the form their reader understands: a page, a problem document, never a stack trace."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from annotator.common import views
from annotator.common.errors import AnnotatorError, Conflict, Forbidden, Invalid, NotFound
from annotator.common.middleware import ErrorMiddleware, render_error
from tests.factories import join, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make_user())
    return client


@pytest.fixture
def address() -> str:
    return reverse("workspace:dashboard", args=[10**6])


def test_a_person_gets_a_page_with_what_to_do(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    text = answer.content.decode()
    assert "There is no such project." in text
    assert "It may have been deleted, or you are not a member." in text


@pytest.mark.parametrize(
    "headers", [{"HX-Request": "true"}, {"Accept": "application/json"}], ids=["htmx", "fetch"]
)
def test_scripts_of_a_page_get_a_problem_document(
    client: Client, address: str, headers: dict[str, str]
) -> None:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:annotator:not_found", "title": "There is no such project.", "status": 404,
        "code": "not_found", "detail": "It may have been deleted, or you are not a member.",
    }  # fmt: skip


def test_programs_get_the_same_document(client: Client, address: str) -> None:
    page = client.get(address, headers={"HX-Request": "true"}).json()
    assert client.get(reverse("api:project", args=[10**6])).json() == page


@pytest.mark.parametrize("path", ["/nowhere/", "/api/v1/nowhere/"])
def test_addresses_that_lead_nowhere_are_told_in_the_readers_form(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert ("problem+json" in answer.headers["Content-Type"]) == path.startswith("/api/")


def test_what_a_person_wrote_into_an_address_is_shown_as_text(client: Client) -> None:
    assert b"<script>" not in client.get("/<script>alert(1)</script>/").content.replace(b"<script ", b"")


@pytest.mark.parametrize("path", ["/projects/", "/api/v1/projects/"])
def test_the_unforeseen_is_logged_and_tells_no_secrets(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("the password is hunter2")

    for name in ("project_cards", "roles_of"):
        monkeypatch.setattr(f"annotator.projects.selectors.{name}", fail)
    answer = client.get(path)
    assert answer.status_code == 500
    assert "hunter2" not in answer.content.decode()
    assert "Something went wrong on the server." in answer.content.decode()
    assert "hunter2" in caplog.text


def test_an_outdated_page_is_told_to_reload() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("accounts:login"), {"username": "a", "password": "b"})
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "Your page is out of date." in text
    assert "CSRF_TRUSTED_ORIGINS" in text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AnnotatorError("x"), 400, "error"),
        (NotFound("x"), 404, "not_found"),
        (Forbidden("x"), 403, "forbidden"),
        (Conflict("x", code="archived"), 409, "archived"),
        (Invalid("x"), 422, "invalid"),
        (AnnotatorError("x", status=418, code="teapot"), 418, "teapot"),
    ],
)
def test_each_error_has_a_status_and_a_stable_code(error: AnnotatorError, status: int, code: str) -> None:
    document = error.problem()
    assert (document["status"], document["code"], document["type"]) == (status, code, f"urn:annotator:{code}")
    assert "detail" not in document


def test_an_error_carries_more_for_programs() -> None:
    assert Invalid("x", hint="y", fields=["a"]).problem()["fields"] == ["a"]


def test_errors_that_nobody_named_pass_on() -> None:
    request = RequestFactory().get("/")
    middleware = ErrorMiddleware(lambda request: HttpResponse())
    assert middleware.process_exception(request, ValueError("x")) is None


@pytest.mark.parametrize(
    ("view", "status"), [("bad_request", 400), ("permission_denied", 403), ("not_found", 404)]
)
def test_the_last_resorts_answer_in_words(view: str, status: int) -> None:
    request = RequestFactory().get("/api/")
    answer = getattr(views, view)(request, Exception("details"))
    assert answer.status_code == status
    assert b"details" not in answer.content


def test_health_is_told_to_everybody(client: Client) -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}


def test_an_error_page_needs_nobody_signed_in() -> None:
    request: HttpRequest = RequestFactory().get("/")
    request.user = make_user()
    assert b"Gone" in render_error(request, AnnotatorError("Gone", status=410)).content


def test_members_without_the_right_are_told_so_not_sent_away() -> None:
    project = make_project()
    client = Client()
    client.force_login(join(project, "viewer"))
    answer = client.get(reverse("projects:settings", args=[project.pk]))
    assert answer.status_code == 403
    assert "Your role in this project does not allow this." in answer.content.decode()
