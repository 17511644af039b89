"""What browsers may run and reach: the content security policy, the import map, and where the socket is."""

from __future__ import annotations

import json
import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from annotator.common.middleware import socket_origin
from annotator.common.templatetags import assets
from tests.factories import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def page() -> HttpResponse:
    project = make_project()
    client = Client()
    client.force_login(project.created_by)
    return client.get(reverse("workspace:dashboard", args=[project.pk]))  # type: ignore[return-value]


def policy_of(response: HttpResponse) -> dict[str, list[str]]:
    parts = (part.split() for part in response.headers["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in parts}


def test_nothing_unsafe_is_allowed_anywhere(page: HttpResponse) -> None:
    policy = policy_of(page)
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "*" not in page.headers["Content-Security-Policy"]
    assert policy["default-src"] == ["'self'"]
    assert policy["object-src"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == policy["form-action"] == ["'self'"]


def test_scripts_are_ours_or_carry_the_nonce_of_this_very_answer(page: HttpResponse) -> None:
    text = page.content.decode()
    [nonce] = [value for value in policy_of(page)["script-src"] if value.startswith("'nonce-")]
    used = set(re.findall(r'nonce="([^"]+)"', text))
    assert used == {nonce.removeprefix("'nonce-").rstrip("'")}
    for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL):
        assert "src=" in attributes or "nonce=" in attributes
        assert not body.strip() or 'type="importmap"' in attributes


def test_two_answers_have_two_nonces() -> None:
    client = Client()
    assert (
        len({client.get(reverse("accounts:login")).headers["Content-Security-Policy"] for _ in range(2)}) == 2
    )


def test_pages_carry_no_inline_styles_or_handlers(page: HttpResponse) -> None:
    text = page.content.decode()
    assert not re.search(r"<[^>]+\sstyle=", text)
    assert not re.search(r"<[^>]+\son[a-z]+=", text)
    assert "<style" not in text


def test_pages_may_reach_the_socket_server_and_nothing_else(page: HttpResponse) -> None:
    assert policy_of(page)["connect-src"] == ["'self'", f"ws://testserver:{settings.SOCKET_PORT}"]


@pytest.mark.parametrize(
    ("host", "secure", "origin"),
    [
        ("label.example", False, "ws://label.example:{port}"),
        ("label.example:8000", False, "ws://label.example:{port}"),
        ("[::1]:8000", False, "ws://[::1]:{port}"),
        ("label.example", True, "wss://label.example:{port}"),
    ],
)
def test_the_socket_is_on_this_host_at_its_own_port(host: str, secure: bool, origin: str, settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    request = RequestFactory().get("/", headers={"host": host}, secure=secure)
    assert socket_origin(request) == origin.format(port=settings.SOCKET_PORT)


def test_behind_a_proxy_the_socket_is_where_the_settings_say(settings) -> None:
    settings.SOCKET_URL = "wss://label.example/"
    assert socket_origin(RequestFactory().get("/")) == "wss://label.example"


def test_other_headers_keep_pages_to_themselves(page: HttpResponse) -> None:
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"


def test_the_import_map_leads_to_files_that_exist(page: HttpResponse) -> None:
    [text] = re.findall(r'<script type="importmap"[^>]*>(.*?)</script>', page.content.decode())
    imports = json.loads(text)["imports"]
    assert set(assets.MODULES) <= set(imports)
    for path in imports.values():
        assert finders.find(path.removeprefix(settings.STATIC_URL)), path


def test_our_modules_plain_addresses_lead_to_their_hashed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hashed:
        hashed_files = {"js/app.js": "js/app.abc.js", "css/base.css": "css/base.def.css"}

    monkeypatch.setattr(assets, "staticfiles_storage", Hashed)
    monkeypatch.setattr(assets, "static", lambda path: f"/static/{Hashed.hashed_files.get(path, path)}")
    imports = json.loads(assets.module_addresses.__wrapped__())["imports"]
    assert imports["/static/js/app.js"] == "/static/js/app.abc.js"
    assert not any("css" in name for name in imports)
