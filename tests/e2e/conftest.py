"""A real browser against the real server; every test fails on what a person would find in the console."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from playwright.sync_api import Browser, ConsoleMessage, Playwright, Response, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from annotator.accounts.models import User
from tests.e2e.person import Person

NAMES = ("chromium", "chromium-browser", "google-chrome")
# A name that is neither localhost nor https: what a team without certificates uses.
PLAIN_HOST = "annotator.test"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1",
)  # fmt: skip
PATIENCE = 20_000  # milliseconds; reached only where something is wrong

expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)


# A module, not the session: while Playwright runs, its event loop is this thread's, which other tests would notice.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with sync_playwright() as running:
            yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    running = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
    yield running
    running.close()


class Traffic:
    """How many connections the server holds: the database may be emptied when there are none.

    Connections and not requests: what a click sent before its page was closed is served all the same, a moment later.
    """

    def __init__(self, server: Any) -> None:
        self.server, self.accept, self.serve = server, server.process_request, server.process_request_thread
        self.open = 0
        self.changed = threading.Condition()

    def count(self, by: int) -> None:
        with self.changed:
            self.open += by
            self.changed.notify_all()

    def accepted(self, *connection: object) -> None:
        self.count(1)
        self.accept(*connection)

    def served(self, *connection: object) -> None:
        try:
            self.serve(*connection)
        finally:
            self.count(-1)

    def wait(self) -> None:
        # Connections are accepted in the order in which they were made: behind this one, none is still to come.
        with socket.create_connection(self.server.server_address, timeout=20) as last:
            last.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert last.recv(1)
        with self.changed:
            assert self.changed.wait_for(lambda: self.open == 0, timeout=20), "connections do not end"


@pytest.fixture
def traffic(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    server = live_server.thread.httpd
    seen = Traffic(server)
    monkeypatch.setattr(server, "process_request", seen.accepted)
    monkeypatch.setattr(server, "process_request_thread", seen.served)
    return seen


@pytest.fixture
def people(
    browser: Browser, live_server: LiveServer, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Person]]:
    """Makes people: `people(user)` is one in a browser of their own, signed in. What goes wrong there fails the test."""
    port = urlsplit(live_server.url).port
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", [*settings.ALLOWED_HOSTS, PLAIN_HOST])
    cache.clear()
    made: list[Person] = []

    def make(user: User | None = None, *, plain: bool = False, **options: object) -> Person:
        base = f"http://{PLAIN_HOST}:{port}" if plain else live_server.url
        context = browser.new_context(base_url=base, reduced_motion="reduce", **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        person = Person(context.new_page(), base, user)
        context.route_web_socket("**/ws/**", lambda socket: person.sockets.append(socket))
        watch(person)
        made.append(person)
        if user is not None:
            person.sign_in()
        return person

    yield make
    problems = [problem for person in made for problem in person.unexpected()]
    for person in made:
        person.page.context.close()
    traffic.wait()
    assert not problems


def watch(person: Person) -> None:
    """Note console errors, uncaught exceptions, policy violations and broken answers."""

    def console(message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            person.problems.append(f"console: {message.text}")

    def answer(response: Response) -> None:
        if response.status >= 500:
            person.problems.append(f"{response.status} {response.url}")

    person.page.on("console", console)
    person.page.on("pageerror", lambda error: person.problems.append(f"page: {error}"))
    person.page.on("response", answer)
