"""What the self-check finds, and that its page and its command say the same."""

from __future__ import annotations

import json
import time
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse

from annotator.jobs.selectors import QUEUES, note_queue_served
from annotator.operations import health, self_check
from annotator.operations.health import Finding
from annotator.operations.self_check import Browser
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_kept", (0.0, []))
    for name in QUEUES:
        note_queue_served(name, gpus=0)


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_user(is_superuser=True, is_staff=True))
    return client


def browser(**said: object) -> Browser:
    return Browser(
        **{"origin": "http://testserver", "now": time.time(), "socket": "open", "form": "accepted"} | said
    )  # type: ignore[arg-type]


def by_key(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.key: finding for finding in findings}


def test_a_browser_to_which_all_works_finds_nothing_wrong() -> None:
    findings = self_check.of_browser(RequestFactory().get("/"), browser())
    assert [finding.state for finding in findings] == ["good"] * 4


def test_a_proxy_that_hides_https_is_told_what_to_set() -> None:
    finding = by_key(
        self_check.of_browser(RequestFactory().get("/"), browser(origin="https://label.example.org"))
    )["origin"]
    assert finding.state == "bad"
    assert (
        finding.sentence == "The browser is at https://label.example.org, the server sees http://testserver."
    )
    assert "CSRF_TRUSTED_ORIGINS=https://label.example.org" in finding.advice
    assert "label.example.org into ALLOWED_HOSTS" in finding.advice


def test_a_trusted_origin_of_an_allowed_host_is_right(settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://label.example.org:8443"]
    settings.ALLOWED_HOSTS = ["label.example.org", "testserver"]
    request = RequestFactory().get("/")
    assert (
        by_key(self_check.of_browser(request, browser(origin="https://label.example.org:8443")))[
            "origin"
        ].state
        == "good"
    )
    settings.ALLOWED_HOSTS = ["testserver"]
    assert (
        by_key(self_check.of_browser(request, browser(origin="https://label.example.org:8443")))[
            "origin"
        ].state
        == "bad"
    )


@pytest.mark.parametrize(
    ("said", "key", "state", "words"),
    [
        ({"form": "refused"}, "form", "bad", "CSRF_TRUSTED_ORIGINS=http://testserver"),
        ({"form": "failed"}, "form", "warning", "proxy's log"),
        ({"socket": "failed"}, "socket", "warning", "Open port"),
        ({"now": time.time() - 3600}, "clock", "warning", "network time"),
    ],
)
def test_what_a_browser_cannot_do_is_said_with_a_remedy(
    said: dict[str, object], key: str, state: str, words: str
) -> None:
    finding = by_key(self_check.of_browser(RequestFactory().get("/"), browser(**said)))[key]
    assert finding.state == state
    assert words in finding.advice


def test_the_advice_for_sockets_knows_of_the_proxy(settings) -> None:
    behind = RequestFactory().get("/", HTTP_X_FORWARDED_FOR="198.51.100.1")
    finding = by_key(self_check.of_browser(behind, browser(socket="failed")))["socket"]
    assert "Set ANNOTATOR_SOCKET_URL" in finding.advice
    settings.SOCKET_URL = "wss://label.example.org"
    finding = by_key(self_check.of_browser(behind, browser(socket="failed")))["socket"]
    assert "pass /ws/" in finding.advice


@pytest.mark.parametrize(
    ("https", "proto", "proxies", "state", "words"),
    [
        (False, "https", 1, "bad", "ANNOTATOR_HTTPS=on"),
        (True, "", 1, "bad", "X-Forwarded-Proto"),
        (True, "https", 1, "good", ""),
        (False, "", 0, "good", ""),
    ],
)
def test_the_scheme_is_compared_with_what_the_proxy_says(
    settings, https: bool, proto: str, proxies: int, state: str, words: str
) -> None:
    settings.HTTPS, settings.PROXIES = https, proxies
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if https else None
    headers = {"HTTP_X_FORWARDED_PROTO": proto} if proto else {}
    finding = by_key(self_check.of_request(RequestFactory().get("/", **headers)))["forwarded_proto"]
    assert finding.state == state
    assert words in finding.advice


def test_a_proxy_nobody_announced_is_found() -> None:
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert "ANNOTATOR_PROXIES" in by_key(self_check.of_request(request))["proxies"].advice


@pytest.mark.parametrize(
    ("changes", "key", "state"),
    [
        ({"ALLOWED_HOSTS": ["*"]}, "allowed_hosts", "warning"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://label.example.org/path"]}, "trusted_origins", "bad"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://label.example.org"]}, "trusted_origins", "good"),
        ({"DEBUG": True}, "debug", "bad"),
        ({"ALLOWED_HOSTS": ["label.example.org"]}, "cookies", "warning"),
        ({"SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True}, "cookies", "good"),
    ],
)
def test_settings_that_do_not_fit_are_found(
    settings, changes: dict[str, object], key: str, state: str
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert by_key(self_check.of_server())[key].state == state


def test_a_server_for_others_that_lets_nobody_in_is_found(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_HOST", "0.0.0.0")
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    finding = by_key(self_check.of_server())["allowed_hosts"]
    assert (finding.state, finding.advice) == ("bad", "Put the name that people type into ALLOWED_HOSTS.")


def test_weights_that_are_not_there_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("ANNOTATOR_WEIGHTS", str(tmp_path / "nowhere"))
    assert by_key(self_check.of_server())["weights"].state == "bad"
    monkeypatch.setenv("ANNOTATOR_WEIGHTS", str(tmp_path))
    assert by_key(self_check.of_server())["weights"].state == "warning"


def test_the_training_worker_says_how_many_cards_it_sees() -> None:
    note_queue_served("gpu", gpus=2)
    assert by_key(self_check.of_server())["gpu"].sentence == "The training worker sees 2 GPUs."


def test_without_redis_the_rest_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(type(cache._connections[cache._alias]), "set", away)  # type: ignore[attr-defined]
    monkeypatch.setattr(health, "queues_served", away)
    monkeypatch.setattr(self_check, "queues_served", away)
    found = by_key(self_check.of_server())
    assert found["redis"].state == found["workers"].state == "bad"
    assert found["database"].state == "good"


def test_every_finding_that_is_not_good_says_what_to_do(settings) -> None:
    settings.ALLOWED_HOSTS, settings.DEBUG = ["*"], True
    for finding in (
        *self_check.of_server(),
        *self_check.of_browser(RequestFactory().get("/"), browser(socket="failed", form="failed")),
    ):
        assert finding.sentence.endswith("."), finding
        assert bool(finding.advice) is (finding.state != "good"), finding


def test_the_page_lists_the_findings_and_who_is_no_administrator_sees_none(admin: Client) -> None:
    page = admin.get(reverse("operations:check")).content.decode()
    assert "The database answers and is up to date." in page
    assert 'data-key="worker_gpu"' in page
    member = Client()
    member.force_login(make_user())
    assert member.get(reverse("operations:check")).status_code == 403
    assert member.get(reverse("operations:check_browser")).status_code == 403


def test_the_browsers_report_comes_back_as_findings(admin: Client) -> None:
    said = {
        "origin": "https://label.example.org",
        "now": str(time.time()),
        "socket": "failed",
        "form": "refused",
    }
    fragment = admin.get(reverse("operations:check_browser"), said).content.decode()
    assert "the server sees http://testserver" in fragment
    assert "<html" not in fragment


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"origin": "javascript:alert(1)", "now": "1"},
        {"origin": "http://a", "now": "nan"},
        {"origin": "http://a", "now": "x"},
    ],
)
def test_reports_that_are_none_are_refused(admin: Client, said: dict[str, str]) -> None:
    assert admin.get(reverse("operations:check_browser"), said).status_code == 400


def test_what_a_browser_says_is_never_markup(admin: Client) -> None:
    said = {"origin": 'https://"><script>alert(1)</script>', "now": str(time.time())}
    assert b"<script>" not in admin.get(reverse("operations:check_browser"), said).content


def test_a_refused_form_points_to_the_check() -> None:
    answer = Client(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"})
    assert answer.status_code == 403
    assert reverse("operations:check") in answer.content.decode()


def test_the_command_says_the_same_and_its_status_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    call_command("selfcheck", stdout=out)
    assert "ok       The database answers and is up to date." in out.getvalue()
    out = StringIO()
    monkeypatch.setattr(health, "_kept", (0.0, []))
    monkeypatch.setattr(health, "LEAST_FREE", 2**60)
    with pytest.raises(SystemExit) as left:
        call_command("selfcheck", "--json", stdout=out)
    assert left.value.code == 1
    states = {finding["key"]: finding["state"] for finding in json.loads(out.getvalue())}
    assert states["disk"] == "bad"
